"""What the overview makes of answers, and of those that lack."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.monitoring.metrics import JOBS, jobs, unknown

from refsys.services.overview import page
from refsys.services.overview.alerts import firing
from refsys.services.overview.gather import ALERTMANAGER, DATABASE, PROMETHEUS, Gathered, Line
from refsys.services.overview.numbers import told
from refsys.services.overview.queries import BY_LABEL, FACTS, FIGURES, SERIES, Unit
from refsys.services.overview.sparkline import sparkline
from refsys.services.overview.view import document

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FULL = {
    "nodes": 2, "nodesUp": 2, "nodesReady": 2, "nodesKnown": 2, "diskLeft": 0.4, "memoryLeft": 0.3, "stations": 3,
    "stationsUp": 3, "prip": 1, "identity": 1, "certificateDays": 0.9,
}  # fmt: skip
WORKLOADS = {"kube-system": 2.0, "infra": 3.0, "processing": 20.0}
COSTS = {"nodes": 0.2, "volumes": 0.05}


def answers(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {name: {"": float(value)} for name, value in FULL.items()}
    made |= {"workloads": WORKLOADS, "complete": WORKLOADS, "alerts": [], "missions": []}
    made |= {"costByKind": COSTS, "costByChain": {"S1": 0.15, "none": 0.1}}
    made["chain"] = {"deadLetters": {"waiting": 0}, "inWork": {"count": 2}}
    return made | changes


def states(**changes: Any) -> dict[str, str]:
    view = document(Gathered(NOW, answers(**changes), {}), "test")
    return {line["layer"]: line["state"] for line in view["status"]}


def alert(name: str = "A", severity: str = "high", state: str = "active", **labels: str) -> dict[str, Any]:
    return {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": f"{name} is so", "runbook": "docs/runbooks/nodes/disk-full.md"},
        "startsAt": (NOW - timedelta(minutes=90)).isoformat(),
        "status": {"state": state},
    }


def test_all_is_well() -> None:
    view = document(Gathered(NOW, answers(), {}), "test")
    assert {line["state"] for line in view["status"]} == {"well"}
    assert view["well"] and json.dumps(view)
    assert [line["text"] for line in view["status"]] == [
        "2 of 2 nodes answer, disk 40% free, memory 30% free, no alerts",
        "2 of 2 nodes ready, 2 of 2 workloads complete, no alerts",
        "3 of 3 workloads complete, identity answers, no alerts",
        "20 of 20 workloads complete, PRIP answers, 3 of 3 stations answer, 0 dead letters, 2 files in work, no alerts",
        "certificates hold, no alerts",
    ]


@pytest.mark.parametrize(
    ("layer", "state", "changes"),
    [
        ("machine", "bad", {"nodesUp": {"": 1.0}}),
        ("machine", "bad", {"nodesUp": {}}),
        ("machine", "unknown", {"nodes": {}}),
        ("machine", "look", {"alerts": [alert()]}),
        ("machine", "bad", {"alerts": [alert(severity="critical")]}),
        ("machine", "well", {"alerts": [alert(severity="low")]}),
        ("machine", "well", {"alerts": [alert(severity="critical", state="suppressed")]}),
        ("cluster", "bad", {"nodesReady": {"": 1.0}}),
        ("platform", "bad", {"complete": {"processing": 20.0, "kube-system": 2.0}}),
        ("platform", "bad", {"identity": {"": 0.0}}),
        ("chain", "bad", {"complete": WORKLOADS | {"processing": 19.0}}),
        ("chain", "look", {"stationsUp": {"": 2.0}}),
        ("chain", "look", {"chain": {"deadLetters": {"waiting": 1}, "inWork": {"count": 0}}}),
        ("chain", "unknown", {"chain": None}),
        ("security", "bad", {"certificateDays": {"": -1.0}}),
    ],
)
def test_a_layer_tells_what_is_wrong(layer: str, state: str, changes: dict[str, Any]) -> None:
    assert states(**changes) == states() | {layer: state}


def test_alerts_are_the_worst_first_and_the_watchdog_is_none() -> None:
    posted = [
        alert("Low", "low"),
        alert("Watchdog"),
        alert("Held", "critical", "suppressed"),
        alert("Worst", "critical"),
    ]
    found = firing([*posted, alert("Sigma", "high", kind="detection") | {"annotations": {}}])
    assert [each.name for each in found] == ["Worst", "Sigma", "Low", "Held"]
    assert [(each.area, each.runbook) for each in found[:2]] == [("nodes", "disk-full"), ("security", "")]


def test_costs_are_a_days_and_a_months() -> None:
    costs = document(Gathered(NOW, answers(), {}), "test")["costs"]
    assert (costs["day"], costs["month"], costs["currency"]) == (6.0, 182.5, "EUR")
    assert costs["byChain"] == [{"name": "S1", "day": 3.6, "month": 109.5}, {"name": "none", "day": 2.4, "month": 73.0}]


def test_the_page_holds_with_nothing_known() -> None:
    missing = dict.fromkeys((PROMETHEUS, ALERTMANAGER, DATABASE), "<b>away</b>")
    view = document(Gathered(NOW, {}, missing), "test")
    html = page.portal(view)
    assert {line["state"] for line in view["status"]} == {"unknown"}
    assert "The database did not answer" in html
    assert "&lt;b&gt;away" in html and "<b>away" not in html
    assert "style=" not in html, "the policy allows no attributes of style"


def test_the_page_asks_nobody_else() -> None:
    lines = {figure.name: [Line({"node": "n", "slo": "s"}, ((NOW.timestamp() - 60, 1.0),), 1.0)] for figure in SERIES}
    posted = [alert("<script>", summary="x"), alert("A"), alert("A")]
    html = page.portal(document(Gathered(NOW, answers(alerts=posted) | lines, {}), "test"))
    assert "<script" not in html
    assert set(re.findall(r'(?:href|src)="([^"]+)"', html)) == {"/operations/v1/runbooks/nodes/disk-full"}
    assert html.count("<svg") >= len(FIGURES) + 4
    assert page.HEADERS["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")


def test_a_line_has_gaps_where_nothing_is_known() -> None:
    end = NOW.timestamp()
    drawn = sparkline("t", [(end - 7200, 0.0), (end - 5400, 4.0), (end, 2.0)], end)
    assert re.findall(r'd="([^"]+)"', drawn) == ["M110.0,26.0L112.5,2.0", "M117.5,14.0L120.0,14.0"]
    assert sparkline("t", [], end) == ""


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "number", "-"),
        (12345.6, "number", "12\N{NO-BREAK SPACE}346"),
        (0.123, "share", "12\N{NO-BREAK SPACE}%"),
        (1234.5, "euro", "1\N{NO-BREAK SPACE}234.50\N{NO-BREAK SPACE}€"),
        (93784, "seconds", "1\N{NO-BREAK SPACE}d 2\N{NO-BREAK SPACE}h"),
        (-60, "seconds", "-1\N{NO-BREAK SPACE}min"),
        (0, "seconds", "0\N{NO-BREAK SPACE}s"),
    ],
)
def test_numbers_are_for_people(value: float | None, unit: Unit, text: str) -> None:
    assert told(value, unit) == text


def test_only_metrics_that_there_are_are_asked_for() -> None:
    asked = [*FACTS.values(), *(text for _, text in BY_LABEL.values()), *(figure.expression for figure in SERIES)]
    for expression in asked:
        assert unknown(expression) == set(), expression
        assert jobs(expression) <= JOBS
    assert len({*FACTS, *BY_LABEL, *(figure.name for figure in SERIES)}) == len(asked)
