"""Alerts that fire, the worst first."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

WATCHDOG = "Watchdog"
SEVERITIES = ("critical", "high", "medium", "low")
RUNBOOK = re.compile(r"docs/runbooks/([a-z]+)/([a-z0-9-]+)\.md$")
TOLD_OTHERWISE = frozenset({"alertname", "severity", "environment"})


@dataclass(frozen=True)
class Alert:
    """One alert; `held` says that people are not told: it is silenced, or another one explains it."""

    name: str
    severity: str
    summary: str
    description: str
    since: datetime
    area: str
    runbook: str
    held: bool
    labels: Mapping[str, str]


def firing(found: Iterable[Mapping[str, Any]]) -> list[Alert]:
    """Return what Alertmanager has, without the watchdog, which always fires."""
    alerts = [_alert(each) for each in found if each["labels"].get("alertname") != WATCHDOG]
    return sorted(alerts, key=lambda alert: (alert.held, _rank(alert.severity), alert.name, alert.since))


def _alert(document: Mapping[str, Any]) -> Alert:
    labels, annotations = document["labels"], document["annotations"]
    place = RUNBOOK.search(annotations.get("runbook", ""))
    return Alert(
        name=labels.get("alertname", ""),
        severity=labels.get("severity", "medium"),
        summary=annotations.get("summary", ""),
        description=annotations.get("description", ""),
        since=datetime.fromisoformat(document["startsAt"]),
        area=place[1] if place else "security" if labels.get("kind") == "detection" else "monitoring",
        runbook=place[2] if place else "",
        held=document["status"]["state"] == "suppressed",
        labels={name: value for name, value in labels.items() if name not in TOLD_OTHERWISE},
    )


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0
