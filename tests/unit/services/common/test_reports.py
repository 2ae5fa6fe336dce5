"""REPORT lines: their form, and that every begin has its end."""

import ast
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.means.logged import Lines
from tests.means.trace_format import NAMES, pairs, reports
from tests.unit.services.kpi.events import event

from refsys.infra import paths
from refsys.services.common import logs
from refsys.services.common.messages import Trace
from refsys.services.common.reports import published, seen

pytest_plugins = ("tests.means.logged",)

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
WRITTEN = {
    "IngestionTrigger", "IngestionWorker", "MetadataExtraction", "CompressionProcessing", "UncompressionProcessing",
    "PripWorker", "PripTempDownloadUrl", "PripTempQuicklookUrl", "DataLifecycleWorker", "DlqManagement",
}  # fmt: skip


def test_a_task_that_ends_well(lines: Lines) -> None:
    with logs.task(
        "IngestionWorker", chain="INGESTION", mission="S1", satellite="S1A", follows="x", filename="a", number=3
    ) as task:
        task.size_bytes = 2**20
        task.output = {"when": MOMENT, "share": 0.5, "filename": ["a", "b"], "done": True, "none": None}
        task.missing = [logs.Missing({"level_string": "L0", "when_date": MOMENT}, count=2)]
    ((begin, end),) = pairs(reports(lines()))
    assert begin.follows_from_task == "x"
    assert end.input == {"filename_string": "a", "number_long": 3}
    assert end.output == {
        "when_date": "2026-01-02T03:04:05.678901Z",
        "share_double": 0.5,
        "filename_strings": ["a", "b"],
        "done_boolean": True,
    }
    assert (end.status, end.data_volume_mebibytes) == ("OK", 1)
    assert end.missing_output[0].estimated_count_integer == 2
    assert end.missing_output[0].product_metadata_custom_object["when_date"] == "2026-01-02T03:04:05.678901Z"


LONG = [ValueError(text * 200_000) for text in ("bad ", "\N{SATELLITE}", "\0")]


@pytest.mark.parametrize("error", [*LONG, KeyboardInterrupt(), GeneratorExit()])
def test_a_task_that_fails_ends_as_well(error: BaseException, lines: Lines) -> None:
    with pytest.raises(type(error)), logs.task("PripWorker", chain="DISTRIBUTION", mission="S1"):
        raise error
    ((_, end),) = pairs(reports(lines()))
    assert (end.status, end.error_code) == ("NOK", 1)


def test_a_task_that_says_itself_that_it_failed(lines: Lines) -> None:
    with logs.task("CompressionProcessing", chain="COMPRESSION", mission="S2") as task:
        task.status, task.error_code = "TIMEOUT", 1
    ((_, end),) = pairs(reports(lines()))
    assert end.status == "TIMEOUT"


def test_a_publication_tells_the_whole_way(lines: Lines) -> None:
    with logs.task("PripWorker", chain="DISTRIBUTION", mission="S1", filename="x") as task:
        task.output = published(event("x"), MOMENT)
    text = lines()
    ((_, end),) = pairs(reports(text))
    assert end.output.keys() == {
        "pickup_point_seen_date", "pickup_point_available_date", "product_id_string", "family_string",
        "station_string", "timeliness_string", "t0_pdgs_date", "ingestion_date", "catalog_storage_date",
        "prip_storage_date",
    }  # fmt: skip
    assert sum(map(len, text)) < 2000, "lines cost"


def test_what_no_station_offered_has_no_pickup_point() -> None:
    assert seen(Trace()) == {}
    assert seen(Trace(seen=MOMENT, station_publication=MOMENT)).keys() == {
        "pickup_point_seen", "pickup_point_available"
    }  # fmt: skip


def test_t0_is_the_latest_of_the_inputs_or_the_stations_publication() -> None:
    late = "2026-01-02T03:04:05.678901Z"
    assert published(event("x", additional_fields={"t0PdgsDate": late}), MOMENT)["t0_pdgs"] == MOMENT
    for wrong in ({}, {"t0PdgsDate": "yesterday"}, {"t0PdgsDate": "2026-01-02T03:04:05"}):
        given = event("x", additional_fields=wrong)
        assert published(given, MOMENT)["t0_pdgs"] == given.trace.station_publication


def test_services_write_the_tasks_of_the_interface() -> None:
    named = {name for file in (paths.CHECKOUT / "services").rglob("*.py") for name in _names(file)}
    assert named <= set(NAMES)
    assert named >= WRITTEN


def _names(file: Path) -> Iterator[str]:
    """The names of tasks in a module: what is given to `task`, and what is chosen to be."""
    texts = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
    yield from (str(text) for text in texts & set(NAMES))
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"logs.task", "task"} and node.args:
            yield from (
                each.value
                for each in ast.walk(node.args[0])
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )


def test_json_of_a_line_is_one_line(lines: Lines) -> None:
    with logs.task("PripWorker", chain="DISTRIBUTION", mission="S1", filename="a\nb"):
        pass
    assert [json.loads(line)["task"]["event"] for line in lines()] == ["BEGIN", "END"]
