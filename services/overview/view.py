"""What is shown, as one document: of it the page is made, and programs read it as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from refsys.services.common.messages import iso
from refsys.services.overview.alerts import Alert, firing
from refsys.services.overview.gather import Gathered, Line, Row
from refsys.services.overview.health import health
from refsys.services.overview.queries import BY_NODE, FIGURES, OBJECTIVES, Figure

HOURS_OF_A_DAY, HOURS_OF_A_MONTH = 24, 730
KPIS = ("published", "expected", "missing", "late", "completeness", "timeliness")


def document(found: Gathered, environment: str) -> Row:
    """Return all of it; what is not known is None, or not there, and its source is named in `missing`."""
    known = found.answers.get("alerts")
    alerts = firing(known or ())
    lines = health(found, alerts)
    return {
        "environment": environment,
        "time": iso(found.moment),
        "well": all(line.state in {"well", "look"} for line in lines),
        "missing": [{"source": source, "reason": reason} for source, reason in sorted(found.missing.items())],
        "status": [
            {
                "layer": line.layer,
                "state": line.state,
                "text": line.text,
                "alerts": sorted({alert.name for alert in line.alerts}),
            }
            for line in lines
        ],
        "alerts": None if known is None else [_alert(alert) for alert in alerts],
        "figures": [_figure(figure, next(iter(found.lines(figure.name)), None)) for figure in FIGURES],
        "missions": _missions(found.answers.get("missions")),
        "nodes": _by(found, BY_NODE, "node"),
        "objectives": _by(found, (OBJECTIVES,), "slo"),
        "costs": costs(found.by_label("costByKind"), found.by_label("costByChain")),
    }


def costs(by_kind: Mapping[str, float], by_chain: Mapping[str, float]) -> Row | None:
    """Return EUR a day and a month as it is now, by what is paid for and by chain; None if it is not known."""
    if not by_kind:
        return None
    return {
        "currency": "EUR",
        "day": round(sum(by_kind.values()) * HOURS_OF_A_DAY, 4),
        "month": round(sum(by_kind.values()) * HOURS_OF_A_MONTH, 2),
        "byKind": _costs(by_kind),
        "byChain": _costs(by_chain),
    }


def _costs(an_hour: Mapping[str, float]) -> list[Row]:
    rows = sorted(an_hour.items(), key=lambda row: (-row[1], row[0]))
    return [
        {"name": name, "day": round(euro * HOURS_OF_A_DAY, 4), "month": round(euro * HOURS_OF_A_MONTH, 2)}
        for name, euro in rows
    ]


def _alert(alert: Alert) -> Row:
    return {
        "name": alert.name,
        "severity": alert.severity,
        "since": iso(alert.since),
        "summary": alert.summary,
        "description": alert.description,
        "area": alert.area,
        "runbook": f"/operations/v1/runbooks/{alert.area}/{alert.runbook}" if alert.runbook else None,
        "held": alert.held,
        "labels": dict(alert.labels),
    }


def _figure(figure: Figure, line: Line | None) -> Row:
    value = line.value if line else None
    return {
        "name": figure.name,
        "title": figure.title,
        "value": value,
        "unit": figure.unit,
        "bad": value is not None and figure.is_bad(value),
        "day": list(line.points) if line else [],
    }


def _by(found: Gathered, shown: Sequence[Figure], label: str) -> list[Row]:
    """Return the figures of each value of a label."""
    values = sorted({line.labels.get(label, "") for figure in shown for line in found.lines(figure.name)})
    rows = []
    for value in values:
        figures = []
        for figure in shown:
            of_value = (line for line in found.lines(figure.name) if line.labels.get(label, "") == value)
            figures.append(_figure(figure, next(of_value, None)))
        rows.append({"name": value, "figures": figures})
    return rows


def _missions(rows: Sequence[Row] | None) -> list[dict[str, Any]] | None:
    return None if rows is None else [{"mission": row["mission"], **{name: row[name] for name in KPIS}} for row in rows]
