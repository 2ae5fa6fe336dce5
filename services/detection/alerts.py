"""Alerts: what a rule found, as the store keeps it and as Alertmanager is told."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import httpx

from refsys.services.common.messages import iso
from refsys.services.common.settings import AlertmanagerSettings
from refsys.services.common.tls import trust
from refsys.services.detection.rules import Rule

EVIDENCE = 10
"""So many records are shown with an alert; the others are found by its query."""

QUIET = timedelta(minutes=5)
"""After so long without another record an alert is over, and the next record is another alert."""

TIMEOUT_SECONDS = 10

Document = dict[str, Any]


class AlertmanagerDownError(Exception):
    """Alertmanager did not take the alerts."""


@dataclass(frozen=True)
class Alert:
    """What one rule found of one group (mostly a host), from its first record to its last."""

    rule: Rule
    group: str
    host: str
    first: datetime
    last: datetime
    raised: datetime
    records: int
    evidence: tuple[Document, ...]

    @property
    def identifier(self) -> str:
        """The same for the same beginning, so that nothing is raised twice."""
        text = f"{self.rule.identifier}\n{self.group}\n{iso(self.first)}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def with_more(self, last: datetime, records: int) -> "Alert":
        """Return the alert as it goes on."""
        return replace(self, last=max(self.last, last), records=records)

    def document(self) -> Document:
        """Return what the store keeps."""
        return {
            "@timestamp": iso(self.first),
            "last_seen": iso(self.last),
            "raised": iso(self.raised),
            "rule": self.rule.identifier,
            "title": self.rule.title,
            "level": self.rule.level,
            "description": self.rule.description,
            "tags": list(self.rule.tags),
            "runbook": self.rule.runbook,
            "query": self.rule.query,
            "group": self.group,
            "host": self.host,
            "records": self.records,
            "evidence": list(self.evidence),
        }

    @classmethod
    def of_document(cls, rule: Rule, document: Document) -> "Alert":
        """Return the alert that `document` keeps."""
        return cls(
            rule=rule,
            group=document["group"],
            host=document["host"],
            first=datetime.fromisoformat(document["@timestamp"]),
            last=datetime.fromisoformat(document["last_seen"]),
            raised=datetime.fromisoformat(document["raised"]),
            records=document["records"],
            evidence=tuple(document["evidence"]),
        )


class Alertmanager:
    """Where alerts go to whoever must act."""

    def __init__(self, settings: AlertmanagerSettings, runbooks_url: str = "") -> None:
        """`runbooks_url` is where the runbooks' paths can be read."""
        verify = trust(settings.ca_file, settings.certificate_file, settings.key_file)
        self._client = httpx.Client(base_url=str(settings.url), verify=verify, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._runbooks = runbooks_url.rstrip("/")

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Send alerts, new ones and again those that go on.

        Raises:
            AlertmanagerDownError: it did not take them.
        """
        try:
            answer = self._client.post("/api/v2/alerts", json=[self._posted(alert) for alert in alerts])
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise AlertmanagerDownError(f"Alertmanager did not take {len(alerts)} alerts: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _posted(self, alert: Alert) -> Document:
        rule = alert.rule
        runbook = f"{self._runbooks}/{rule.runbook}" if self._runbooks else rule.runbook
        first = alert.evidence[0].get("message", "") if alert.evidence else ""
        return {
            "labels": {
                "alertname": rule.title,
                "severity": rule.level,
                "host": alert.host,
                "group": alert.group,
                "rule": rule.identifier,
                "kind": "detection",
            },
            "annotations": {
                "summary": f"{rule.title} on {alert.host or alert.group}: {alert.records} records",
                "description": rule.description,
                "evidence": str(first)[:500],
                "runbook": runbook,
                "alert": alert.identifier,
            },
            "startsAt": iso(alert.first),
            "endsAt": iso(alert.last + QUIET),
        }
