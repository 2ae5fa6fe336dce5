import hashlib
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from refsys.services.common import logs
from refsys.services.common.database import Geometry
from refsys.services.common.digests import Digests, standard_name
from refsys.services.common.families import BUCKETS, Family, split_storage_path, storage_path
from refsys.services.common.messages import IngestionJob, Trace
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, S3Settings, SettingsError, load
from refsys.services.common.topics import ACCESS

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def job() -> IngestionJob:
    return IngestionJob(
        mission_id="S1",
        satellite_id="S1A",
        key_object_storage="x",
        storage_path="s3://rs-s1-aux/x",
        product_family="AUXILIARY_FILE",
        pickup_base_url="https://station/odata/v1",
        relative_path="Products(1)/$value",
        product_name="x",
        product_size_byte=5,
        station_name="MTI_",
        source_name="MTI_",
        last_modified=MOMENT,
        trace=Trace(seen=MOMENT),
    )


def test_messages_have_the_field_names_of_the_interface() -> None:
    sent = job()
    raw = json.loads(sent.model_dump_json(by_alias=True))
    assert {"keyObjectStorage", "pickupBaseURL", "productSizeByte", "schemaVersion", "rsChainVersion"} <= raw.keys()
    assert raw["lastModified"] == "2026-01-02T03:04:05.678901Z"
    assert raw["trace"]["seen"] == "2026-01-02T03:04:05.678901Z"
    assert IngestionJob.model_validate(raw) == sent


def test_a_message_of_a_later_version_may_have_more_fields_but_no_other_version() -> None:
    raw = json.loads(job().model_dump_json(by_alias=True))
    assert IngestionJob.model_validate(raw | {"someNewField": 1}).product_name == "x"
    with pytest.raises(ValueError, match="schemaVersion"):
        IngestionJob.model_validate(raw | {"schemaVersion": 2})


def test_digests_are_those_of_hashlib_whatever_the_chunks() -> None:
    content = bytes(range(256)) * 2000
    for step in (7, 70_000, len(content)):
        with Digests(["MD5", "SHA-256", "SHA3-256"]) as digests:
            passed = b"".join(digests.of(content[at : at + step] for at in range(0, len(content), step)))
        assert passed == content
        assert digests.size == len(content)
        assert digests.values() == {
            "MD5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "SHA-256": hashlib.sha256(content).hexdigest(),
            "SHA3-256": hashlib.sha3_256(content).hexdigest(),
        }


@pytest.mark.parametrize(
    ("written", "name"), [("MD5", "MD5"), ("md-5", "MD5"), ("SHA256", "SHA-256"), ("sha3_512", "SHA3-512")]
)
def test_algorithms_have_one_name(written: str, name: str) -> None:
    assert standard_name(written) == name
    assert standard_name("CRC32") is None


def test_every_family_has_a_bucket_and_paths_go_both_ways() -> None:
    assert set(BUCKETS) == {name for family in Family for name in (family, f"{family}_ZIP")}
    assert split_storage_path(storage_path(Family.S2_AUX, "name")) == ("rs-s2-aux", "name")
    for wrong in ("", "s3://", "s3://bucket", "http://a/b", "s3:///key"):
        with pytest.raises(ValueError, match="storagePath"):
            split_storage_path(wrong)


def test_settings_name_variable_reason_and_fix(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="REFSYS_DATABASE_URL is not set"):
        load(DatabaseSettings)
    monkeypatch.setenv("REFSYS_DATABASE_URL", "postgresql://user:secret@host/db")
    with pytest.raises(SettingsError) as caught:
        load(DatabaseSettings)
    assert "REFSYS_DATABASE_URL is wrong" in str(caught.value)
    assert "user:secret" not in str(caught.value)
    monkeypatch.setenv("REFSYS_KAFKA_BOOTSTRAP", "kafka:9093")
    monkeypatch.setenv("REFSYS_KAFKA_CA_FILE", __file__)
    with pytest.raises(SettingsError, match="set all three"):
        load(KafkaSettings)
    monkeypatch.setenv("REFSYS_S3_ENDPOINT", "https://s3")
    monkeypatch.setenv("REFSYS_S3_ACCESS_KEY_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("REFSYS_S3_SECRET_KEY_FILE", __file__)
    with pytest.raises(SettingsError, match=r"REFSYS_S3_ACCESS_KEY_FILE is wrong: cannot read .*none"):
        load(S3Settings)


def test_logs_have_the_log_and_report_formats_and_no_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers
    try:
        logs.configure("unit")
        logs.get_logger().info("hello", count=1, share=0.5, when=MOMENT, names=["a"], access_token="abc")
        logging.getLogger("library").warning("from a library")
        with (
            pytest.raises(ValueError, match="bad"),
            logs.task("IngestionWorker", chain="INGESTION", mission="S1", satellite="S1A", filename="x"),
        ):
            raise ValueError("bad")
    finally:
        logging.getLogger().handlers = before
    own, foreign, begin, end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert own["header"]["type"] == "LOG"
    assert own["header"]["file"] == "test_common.py"
    assert own["message"] == {"content": "hello"}
    expected = {
        "count_long": 1,
        "share_double": 0.5,
        "when_date": "2026-01-02T03:04:05.678901Z",
        "names_strings": ["a"],
    }
    assert expected.items() <= own["custom"].items()
    assert "abc" not in json.dumps(own)
    assert foreign["message"]["content"] == "from a library"
    assert begin["header"]["type"] == end["header"]["type"] == "REPORT"
    assert begin["task"] | {"event": "END"} != end["task"]
    assert (begin["task"]["event"], end["task"]["event"], end["task"]["status"]) == ("BEGIN", "END", "NOK")
    assert begin["task"]["uid"] == end["task"]["uid"]
    assert end["task"]["input"] == {"filename_string": "x"}


def test_geometry_goes_in_and_out_as_geojson() -> None:
    assert Geometry().get_col_spec() == "geometry(Geometry,4326)"


def test_every_consumer_may_write_dead_letters() -> None:
    # What the indexer cannot store as it is, it stores as text; what the KPIs cannot read is in the log store.
    readers_of_logs = {"log-indexer", "kpi"}
    handling = [access for process, access in ACCESS.items() if access.reads and process not in readers_of_logs]
    assert all("error-warning" in access.writes for access in handling)
