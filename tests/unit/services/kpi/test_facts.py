"""From REPORT lines to rows: what counts, in any order, however often."""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.means.logged import Lines
from tests.unit.services.kpi.events import T0, event, record

from refsys.services.common import logs
from refsys.services.common.reports import published, seen
from refsys.services.common.settings import SettingsError
from refsys.services.kpi import facts
from refsys.services.kpi.facts import Facts
from refsys.services.kpi.kinds import base_name, identity_of, kind_of, level_of
from refsys.services.kpi.lines import UnreadableError, read
from refsys.services.kpi.timeliness import load_limits

pytest_plugins = ("tests.means.logged",)

LIMITS = load_limits(Path(facts.__file__).parent / "timeliness.yaml")
S1 = "S1A_IW_RAW__0SDV_20261101T110000_20261101T110030_050000_060000_{}.SAFE"
BLOCK = "DCS_01_S1A_20261101110000050000_ch1_DSDB_00001.raw"
DSIB = "DCS_01_S1A_20261101110000050000_ch2_DSIB.xml"
AUX = "S1A_OPER_AUX_RESORB_OPOD_20261101T110000_V20261101T080000_20261101T110000.EOF"


Written = Callable[[], list[bytes]]


@pytest.fixture
def written(lines: Lines) -> Written:
    """The records of what was written since the last call."""
    return lambda: [record(line) for line in lines()]


def facts_of(*records: bytes) -> Facts:
    facts = Facts(LIMITS)
    for each in records:
        line = read(each)
        if line is not None:
            facts.add(line)
    return facts


def publish(name: str, delay: timedelta, **changes: Any) -> None:
    given = event(name, **changes)
    with logs.task(
        "PripWorker", chain="DISTRIBUTION", mission=given.mission_id, satellite="S1A", follows="e", filename=name
    ) as task:
        task.output = published(given, T0 + delay)


def test_a_product_and_its_input(written: Written) -> None:
    publish(S1.format("AAAA") + ".zip", timedelta(hours=4), product_family="L0_SLICE_ZIP")
    facts = facts_of(*written())
    (product,) = facts.products.values()
    assert product.row["level"] == "L0"
    assert (product.row["timeliness_name"], product.row["timeliness_value_seconds"]) == ("S1_NRT", 10_800)
    assert product.row["external"] is True
    (given,) = facts.inputs.values()
    assert (given["filename"], given["family"], given["kind"]) == (S1.format("AAAA"), "L0_SLICE", "product")
    assert given["prip_storage_date"] == T0 + timedelta(hours=4)
    (task,) = facts.tasks.values()
    assert (task["name"], task["status"], task["follows_from_task"]) == ("PripWorker", "OK", "e")
    assert task["begin_date"] <= task["end_date"]


def test_the_order_and_number_of_lines_do_not_matter(written: Written) -> None:
    with logs.task(
        "IngestionWorker", chain="INGESTION", mission="S1", filename=AUX, station="MTI_", family="AUXILIARY_FILE"
    ) as task:
        task.output = seen(event(AUX).trace, T0) | {"ingestion": T0 + timedelta(seconds=1)}
    publish(AUX, timedelta(seconds=5), product_family="AUXILIARY_FILE")
    records = written()
    first = facts_of(*records)
    assert len(first.inputs) == len(first.products) == 1
    for order in permutations(records):
        again = facts_of(*order, *order)
        assert (again.tasks, again.products) == (first.tasks, first.products)
        assert {key: row["prip_storage_date"] for key, row in again.inputs.items()} == {
            key: row["prip_storage_date"] for key, row in first.inputs.items()
        }


def test_a_file_that_does_not_come_in_is_expected(written: Written) -> None:
    with (
        pytest.raises(OSError, match="away"),
        logs.task(
            "IngestionWorker", chain="INGESTION", mission="S1", filename=BLOCK, station="MTI_", family="EDRS_SESSION"
        ) as task,
    ):
        task.output = seen(event(BLOCK).trace, T0)
        raise OSError("away")
    (given,) = facts_of(*written()).inputs.values()
    assert (given["kind"], given["session_id"], given["channel"]) == ("chunk", "S1A_20261101110000050000", 1)
    assert given["ingestion_date"] is None


def test_what_the_chain_makes_is_no_input(written: Written) -> None:
    trace = event("x").trace.model_copy(update={"seen": None, "station_publication": None})
    publish(S1.format("AAAA"), timedelta(), trace=trace, additional_fields={"t0PdgsDate": "2026-11-01T12:00:00Z"})
    facts = facts_of(*written())
    assert not facts.inputs
    (product,) = facts.products.values()
    assert (product.row["external"], product.row["t0_pdgs_date"]) == (False, T0)


def test_a_task_says_what_it_did_not_make_and_of_what_it_made_the_rest(written: Written) -> None:
    with logs.task("JobProcessing", chain="S1_L0", mission="S1", filename=[BLOCK, AUX, S1.format("AAAA")]) as task:
        task.output = {"filename": [S1.format("BBBB")]}
        task.missing = [logs.Missing({"level_string": "L0", "station_string": "MTI_"}, count=3)]
    facts = facts_of(*written())
    (row,) = facts.missing.values()
    assert (row["level"], row["station"], row["estimated_count"]) == ("L0", "MTI_", 3)
    assert {table: len(pairs) for table, pairs in facts.lists.items()} == {
        "input_list_external": 2, "input_list_internal": 1, "output_list": 1
    }  # fmt: skip


def test_downloads_of_users_are_no_tasks_of_the_production(written: Written) -> None:
    with logs.task("PripTempDownloadUrl", chain="DISTRIBUTION", mission="S1", filename="x", user="u"):
        pass
    assert not facts_of(*written()).tasks


def test_lines_of_others_are_not_believed(written: Written) -> None:
    publish(AUX, timedelta())
    text = json.loads(written()[1])["message"]
    assert read(record(text)) is not None
    assert read(record(text, namespace="monitoring")) is None
    logs.get_logger().info("a REPORT of PLAN_AND_REPORT", product=AUX)
    assert read(written()[0]) is None
    volume = '"data_volume_mebibytes": '
    wrong = {'"END"': '"MIDDLE"', "S1A": "\\u0000", "S1A_": "\\ud800", f"{volume}0.0": f"{volume}NaN"}
    for broken in (text[: len(text) // 2], *(text.replace(good, bad) for good, bad in wrong.items())):
        assert broken != text
        with pytest.raises(UnreadableError):
            read(record(broken))


@pytest.mark.parametrize(
    ("family", "level"),
    [
        ("EDRS_SESSION", "SESSION"), ("SESSION_RETRANSFER", "SESSION"), ("AUXILIARY_FILE", "AUX"), ("S2_SAD", "AUX"),
        ("L0_SLICE", "L0"), ("L0_SLICE_ZIP", "L0"), ("L1_ETAD", "L1"), ("L2_ACN", "L2"), ("S2_L0_GR", "L0"),
        ("S2_L1A_DS", "L1"), ("S2_L1C_TL_ZIP", "L1"), ("S2_L2A_TC", "L2"), ("S3_L0", "L0"), ("S3_L1_NRT", "L1"),
        ("S3_L2_NTC", "L2"), ("S3_GRANULES", "L0"), ("SPP_OBS", "OTHER"), ("", "OTHER"),
    ],
)  # fmt: skip
def test_levels(family: str, level: str) -> None:
    assert level_of(family) == level


def test_kinds() -> None:
    assert kind_of("EDRS_SESSION", DSIB) == ("dsib", "S1A_20261101110000050000", 2)
    assert kind_of("EDRS_SESSION", "odd.raw").name == "chunk"
    assert kind_of("AUXILIARY_FILE", AUX).name == "aux_data"
    assert base_name("L0_SLICE_ZIP", "a/b.SAFE.zip") == "b.SAFE"
    assert base_name("AUXILIARY_FILE", "b.SAFE.zip") == "b.SAFE.zip"


def test_a_product_made_again_has_the_same_identity() -> None:
    assert identity_of("L0", S1.format("AAAA")) == identity_of("L0", S1.format("0BCD") + ".zip")
    assert identity_of("L0", S1.format("AAAA")) != identity_of("L0", S1.format("AAAA").replace("T110030", "T110055"))
    s3 = "S3A_OL_1_EFR____20261101T100000_20261101T100300_20261101T{}_0179_100_122_2160_LN1_O_NR_002.SEN3"
    assert identity_of("L1", s3.format("113000")) == identity_of("L1", s3.format("123000")) is not None
    assert identity_of("L1", s3.format("113000")) != identity_of("L1", s3.format("113000").replace("_NR_", "_NT_"))
    granule = "S2A_OPER_MSI_L0__GR_SGS__20261101T{}_S20261101T100000_D{}_N05.11"
    assert identity_of("L0", granule.format("113000", "01")) == identity_of("L0", granule.format("120000", "01"))
    assert identity_of("L0", granule.format("113000", "01")) != identity_of("L0", granule.format("113000", "02"))
    assert identity_of("AUX", AUX) is None
    assert identity_of("L0", "rubbish") is None


def test_the_limits_are_those_of_the_reference_system() -> None:
    wanted = {
        "S1_NRT": 10_800, "S1_PT": 10_800, "S1_FAST24": 86_400, "S1_SESSION": 3600, "S2_L0": 4500, "S2_L1": 4500,
        "S2_L2": 7200, "S2_SESSION": 1800, "S3_NRT": 10_800, "S3_STC": 172_800, "S3_NTC": 2_592_000,
    }  # fmt: skip
    assert {limit.name: limit.seconds for limit in LIMITS} == wanted


def test_a_wrong_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "timeliness.yaml"
    file.write_text(yaml.safe_dump([{"name": "S1_NRT", "mission": "S1", "seconds": 0}]))
    with pytest.raises(SettingsError, match=r"limit 0\.seconds: Input should be greater than 0"):
        load_limits(file)
