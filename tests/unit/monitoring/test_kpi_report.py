"""The monthly report: sums, page and CSV; and the command for a day."""

import csv
import io
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner

from refsys.infra.cli import kpi
from refsys.infra.errors import UserError
from refsys.monitoring.kpi.page import duration, render
from refsys.monitoring.kpi.plots import bars
from refsys.monitoring.kpi.report import COUNTS, Month, as_csv, summed


def row(day: str, **changes: Any) -> dict[str, Any]:
    counts: dict[str, Any] = dict.fromkeys(COUNTS, 0)
    named = {"day": day, "mission": "S1", "station": "MTI_", "level": "L0"}
    return named | counts | changes | {name: None for name in summed([]) if name not in COUNTS}


def month(*rows: dict[str, Any], **lists: Any) -> Month:
    figures = {"total": summed(rows), "value": list(rows), "delays": [], "tasks": []}
    given: dict[str, Any] = {"late": [], "missing": [], "duplicates": [], "invalidations": []}
    return Month("local", "2026-02", figures, **(given | lists))


ROWS = (
    row("2026-02-01", expected=10, arrived=9, missing=1, published=9, limited=9, late=3, lateExcused=1),
    row("2026-02-01", level="AUX", expected=5, arrived=5, published=5),
    row("2026-02-28", expected=2, arrived=1, published=1, limited=1),
)


def test_sums_and_shares() -> None:
    total = summed(ROWS)
    assert (total["expected"], total["completeness"]) == (17, 88.24)
    assert (total["timeliness"], total["timelinessCorrected"]) == (70, 77.78)
    assert summed([])["completeness"] is None
    days = month(*ROWS).by_day("S1")
    assert (len(days), days[0]["expected"], days[1]["expected"], days[27]["expected"]) == (28, 15, 0, 2)
    assert [each["level"] for each in month(*ROWS).rows("S1", "level")] == ["AUX", "L0"]


def test_the_page_needs_nothing_else_and_escapes() -> None:
    bad = "<script>alert(1)</script>"
    late = {
        "filename": bad, "timelinessName": "S1_NRT", "lateBySeconds": 3700.0, "invalidation": None,
        "pripStorageDate": "2026-02-01T10:00:00.000000Z",
    }  # fmt: skip
    text = render(month(*ROWS, late=[late]))
    assert "February 2026" in text
    assert bad not in text
    assert "1 h 1 min" in text
    assert text.count("<svg") == 2
    assert "http" not in text.replace("http-equiv", "")
    assert "Nothing came in" in render(month())


def test_the_page_has_costs_where_they_are_known() -> None:
    costs = {"month": 182.5, "byKind": [{"name": "nodes", "month": 182.5}], "byChain": [{"name": "none", "month": 9.0}]}
    text = render(month(costs=costs))
    assert "<h2>Costs</h2>" in text
    assert "no chain" in text and "9.00" in text
    assert "<h2>Costs</h2>" not in render(month(costs={"month": None, "byKind": [], "byChain": []}))


def test_the_csv_has_a_line_a_day_and_no_formula() -> None:
    lines = list(csv.DictReader(io.StringIO(as_csv(month(*ROWS, row("2026-02-03", station="=1+1"))))))
    assert [line["day"] for line in lines] == ["2026-02-01", "2026-02-01", "2026-02-28", "2026-02-03"]
    assert lines[0]["expected"] == "10"
    assert lines[3]["station"] == "'=1+1"


@pytest.mark.parametrize("highest", [0, 1, 7, 999, 123_456])
def test_bars_stay_in_the_plot(highest: int) -> None:
    days = [{"day": f"2026-02-{day:02}", "a": highest // day, "b": 1 if highest else 0} for day in range(1, 29)]
    drawn = ElementTree.fromstring(bars("t <1>", days, [("a", "good", "good"), ("b", "bad", "bad")]))  # noqa: S314
    for each in drawn.iter("rect"):
        assert float(each.get("y", "")) >= 0
        assert float(each.get("y", "")) + float(each.get("height", "")) <= 150


def test_durations() -> None:
    assert [duration(each) for each in (None, 0.2, 61, 3600, 90_061)] == ["-", "0 s", "1 min 1 s", "1 h", "1 d 1 h"]


def test_a_day_on_the_terminal() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    kpi.show({"day": "2026-02-01", "value": list(ROWS[:2])}, console)
    shown = console.export_text()
    assert "93.33 %" in shown
    kpi.show({"day": "2026-02-02", "value": []}, console)
    assert "nothing came in" in console.export_text()


@pytest.mark.parametrize("arguments", [["--day", "today"], ["report", "2026-13"], ["report", "11"], ["nowhere"]])
def test_wrong_use_is_told(arguments: list[str]) -> None:
    done = CliRunner().invoke(kpi.app, arguments)
    assert isinstance(done.exception, UserError), done.output


def test_a_name_is_an_environment_not_a_command() -> None:
    assert "YYYY-MM" in CliRunner().invoke(kpi.app, ["report", "--help"]).output
    assert "report" in CliRunner().invoke(kpi.app, ["--help"]).output
