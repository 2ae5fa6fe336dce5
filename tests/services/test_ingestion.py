"""Ingestion against a station, real PostgreSQL, Kafka and S3."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import HttpUrl
from tests.means.clamd import EICAR, clamd
from tests.means.generator import generate
from tests.means.processes import free_port
from tests.means.station import Faults
from tests.means.station import Station as Means
from tests.services.conftest import wait_until
from tests.services.ingesting import Ingestion

from refsys.services.common.bus import Producer
from refsys.services.common.families import Family
from refsys.services.common.messages import CATALOG_JOB, ERROR_WARNING, INGESTION_JOB, CatalogJob, IngestionJob
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.common.virus_scan import Scanner
from refsys.services.ingestion import inbox, worker
from refsys.services.ingestion.stations import AuxipStation, Inbox

pytest_plugins = ("tests.services.ingesting",)

INBOXES = [
    Inbox(match=r"S1.*", ignore=r".*_AUX_OBMEMC_.*", family=Family.AUXILIARY_FILE, mission="S1"),
    Inbox(match=r"S2.*", family=Family.S2_AUX, mission="S2"),
    Inbox(match=r"S3.*", family=Family.S3_AUX, mission="S3"),
]


def station_of(means: Means, folder: Path, name: str = "MTI_", **changes: object) -> AuxipStation:
    password = folder / f"{name}.password"
    password.write_text(means.password)
    station = AuxipStation(
        name=name,
        url=HttpUrl(means.url),
        token_url=HttpUrl(means.token_url),
        client_id=means.client_id,
        username=means.username,
        password_file=password,
        poll_seconds=0.5,
        inboxes=INBOXES,
    )
    return station.model_copy(update=changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "station"
    folder.mkdir()
    return folder


def test_every_file_is_stored_once(
    folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    made = generate(folder, 10, size=30_000)
    wanted = [path for path in made if "_AUX_OBMEMC_" not in path.name]
    with Means(folder, page_limit=3) as means:
        chain = ingestion(station_of(means, tmp_path))
        assert chain.poll() == len(wanted)
        assert chain.poll() == 0
        with chain.run_worker():
            wait_until(lambda: chain.count("STORED") == len(wanted), what="all stored")
    jobs = [CatalogJob.model_validate_json(item) for item in chain.bus.read(CATALOG_JOB, len(wanted))]
    assert sorted(job.key_object_storage for job in jobs) == sorted(path.name for path in wanted)
    for job in jobs:
        content = (folder / job.key_object_storage).read_bytes()
        bucket, key = job.storage_path.removeprefix("s3://").split("/")
        with store.open(bucket, key) as file:
            assert file.read() == content
        assert {item.algorithm: item.value for item in job.checksums} == {
            "MD5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "SHA-256": hashlib.sha256(content).hexdigest(),
        }
        assert job.product_size_byte == len(content)
        assert job.trace.station_publication and job.trace.seen and job.trace.stored
        assert job.trace.station_publication <= job.trace.seen + timedelta(seconds=1)


def test_a_new_file_is_seen_though_the_cursor_passed(
    folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion]
) -> None:
    generate(folder, 1, seed=1)
    with Means(folder) as means:
        chain = ingestion(station_of(means, tmp_path))
        assert chain.poll() == 1
        late = generate(folder, 2, seed=2)[1]
        entry = next(entry for entry in means.publish() if entry.name == late.name)
        means._entries[late.name] = replace(entry, published=entry.published - timedelta(minutes=20))
        assert chain.poll() == 2


def test_bad_names_are_quarantined_visibly(folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion]) -> None:
    names = ["../../etc/passwd", "S1A_OPER_AUX\x00_RESORB.EOF", "README.txt", "S1A_AUX_CAL_V1.SAFE.zip"]
    with Means(folder, faults=Faults(extra_names=names)) as means:
        chain = ingestion(station_of(means, tmp_path))
        assert chain.poll() == 0
        assert chain.count("QUARANTINED") == len(names)
        reason = chain.value("SELECT reason FROM ingestion.quarantine WHERE name LIKE '%passwd'")
        assert reason == "file name has a path in it"


def test_a_file_with_a_virus_never_comes_in(
    folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    infected, _ = generate(folder, 2)
    infected.write_bytes(infected.read_bytes().replace(b"</Data_Block>", b"<!--" + EICAR + b"--></Data_Block>"))
    port = free_port()
    with Means(folder) as means:
        chain = ingestion(station_of(means, tmp_path), scanner=Scanner("127.0.0.1", port))
        assert chain.poll() == 2
        with chain.run_worker():
            time.sleep(1)  # nothing comes in while nobody can look at it
            assert chain.count("STORED") == 0
            with clamd(tmp_path / "clamd", port):
                wait_until(lambda: chain.count("STORED") + chain.count("QUARANTINED") == 2, 60)
    assert chain.count("STORED") == 1
    reason = "virus scan found Eicar-Test-Signature"
    assert str(chain.value("SELECT reason FROM ingestion.quarantine")).startswith(reason)
    assert store.head("rs-s1-aux", infected.name) is None


def test_the_same_again_is_acknowledged_and_another_content_quarantined(
    folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion], store: ObjectStore
) -> None:
    path = generate(folder, 1)[0]
    content = path.read_bytes()
    with Means(folder) as means:
        chain = ingestion(station_of(means, tmp_path))
        chain.poll()
        with chain.run_worker():
            wait_until(lambda: chain.count("STORED") == 1)
            means.republish(path.name)
            assert chain.poll() == 1
            wait_until(lambda: chain.count("STORED") == 2)
            path.write_bytes(content.replace(b"OPOD", b"XPOD"))
            means.republish(path.name)
            assert chain.poll() == 1
            wait_until(lambda: chain.count("QUARANTINED") == 1)
    assert "another content" in str(chain.value("SELECT reason FROM ingestion.quarantine"))
    with store.open("rs-s1-aux", path.name) as file:
        assert file.read() == content
    assert len(chain.bus.read(CATALOG_JOB, 2)) == 2


def test_a_wrong_checksum_is_tried_again_then_quarantined(
    folder: Path,
    tmp_path: Path,
    ingestion: Callable[..., Ingestion],
    store: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbox, "RETRY_BASE_SECONDS", 0.05)
    path = generate(folder, 2, size=20 * 2**20)[1]
    (folder / generate(folder, 1)[0].name).unlink()
    with Means(folder, faults=Faults(wrong_checksums={path.name})) as means:
        chain = ingestion(station_of(means, tmp_path))
        chain.poll()
        with chain.run_worker():

            def quarantined() -> bool:
                chain.poll()
                return chain.count("QUARANTINED") == 1

            wait_until(quarantined)
    assert chain.value("SELECT attempts FROM ingestion.quarantine") == worker.CONTENT_ATTEMPTS
    assert store.head("rs-s1-aux", path.name) is None
    assert chain.bus.read(CATALOG_JOB, 0, seconds=2) == []


def test_a_flaky_station_loses_nothing(
    folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "RETRY_BASE_SECONDS", 0.1)
    monkeypatch.setattr(worker, "BUSY_PAUSE_SECONDS", 0.2)
    made = [path for path in generate(folder, 20, size=2**20) if "_AUX_OBMEMC_" not in path.name]
    with Means(folder, faults=Faults(errors=0.2, cuts=0.3)) as means:
        chain = ingestion(station_of(means, tmp_path))

        def done() -> bool:
            try:
                chain.poll()
            except Exception as error:
                assert "HTTP 500" in str(error)
            return chain.count("STORED") == len(made)

        with chain.run_worker():
            wait_until(done, seconds=90)
        assert any("value" in request for request in means.requests)
    assert chain.value("SELECT count(*) FROM ingestion.quarantine") == 0
    names = {CatalogJob.model_validate_json(item).key_object_storage for item in chain.bus.read(CATALOG_JOB, len(made))}
    assert names == {path.name for path in made}


def test_one_station_down_does_not_hold_the_other(
    folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion]
) -> None:
    first, second = folder / "a", folder / "b"
    generate(first, 3, seed=1)
    generate(second, 3, seed=2)
    with Means(first) as bad, Means(second) as good:
        chain = ingestion(station_of(bad, tmp_path, "BAD_"), station_of(good, tmp_path, "GOOD"))
        chain.poll("BAD_")
        chain.poll("GOOD")
        bad.faults.down = True
        query = (
            "SELECT string_agg(DISTINCT station || ' ' || state, ',' ORDER BY station || ' ' || state) "
            "FROM ingestion.inbox_entry"
        )
        with chain.run_worker():
            wait_until(lambda: "GOOD STORED" in str(chain.value(query)), seconds=60)
            wait_until(lambda: chain.value(query) == "BAD_ RETRY,GOOD STORED", seconds=60)


@pytest.mark.parametrize("broken", [False, True])
def test_a_worker_faster_than_the_trigger(  # fixtures
    folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion], monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    """What the worker says of a file before the trigger enters its job as queued stays."""
    (path,) = generate(folder, 1)
    queued = inbox.queued
    with Means(folder) as means:
        chain = ingestion(station_of(means, tmp_path))

        def late(*arguments: object) -> None:
            if broken:
                path.write_bytes(bytes(path.stat().st_size))
            for text in chain.bus.read(INGESTION_JOB, 1):
                chain.worker.handle(IngestionJob.model_validate_json(text))
            queued(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(inbox, "queued", late)
        assert chain.poll() == 1
    assert chain.count("RETRY" if broken else "STORED") == 1


def test_a_killed_trigger_sends_its_jobs_when_the_lease_has_ended(
    folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "LEASE_SECONDS", 1.0)
    generate(folder, 1)

    def killed(*_: object) -> None:
        raise SystemExit

    with Means(folder) as means, monkeypatch.context() as patch:
        chain = ingestion(station_of(means, tmp_path))
        patch.setattr(chain.pollers["MTI_"]._intake._producer, "flush", killed)
        with pytest.raises(SystemExit):
            chain.poll()
        patch.undo()
        assert (chain.poll(), chain.count("RETRY")) == (0, 1)
        time.sleep(1.1)
        assert (chain.poll(), chain.count("QUEUED")) == (1, 1)


def test_an_unreadable_job_goes_to_the_dead_letters(
    folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion], kafka_settings: Callable[[str], KafkaSettings]
) -> None:
    with Means(folder) as means:
        chain = ingestion(station_of(means, tmp_path))
        producer = Producer(kafka_settings("admin"), "tests")
        producer._producer.produce(INGESTION_JOB, value=b"{not json", key=b"x")
        producer.flush()
        with chain.run_worker():
            failed = chain.bus.read(ERROR_WARNING, 1)
    assert len(failed) == 1
    assert "not a valid IngestionJob" in failed[0] and "{not json" in failed[0]


def test_a_token_that_ends_is_renewed(folder: Path, tmp_path: Path, ingestion: Callable[..., Ingestion]) -> None:
    generate(folder, 1, seed=1)
    with Means(folder) as means:
        chain = ingestion(station_of(means, tmp_path))
        assert chain.poll() == 1
        means.forget_tokens()
        generate(folder, 1, seed=2)
        assert chain.poll() == 1
