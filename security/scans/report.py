"""What a scan found, and the report of it: one form for all scans."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

Document = dict[str, Any]


class Scan(StrEnum):
    """What can be scanned."""

    IMAGES = "images"
    HOSTS = "hosts"
    NETWORK = "network"
    LICENCES = "licences"
    SECRETS = "secrets"


@dataclass(frozen=True)
class Finding:
    """One thing that was found, in all the places where it is."""

    id: str
    """CVE, licence, `open-port` …; with `what`, what a waiver names."""
    what: str
    """Package, port or file."""
    where: tuple[str, ...]
    level: str
    text: str


@dataclass
class Result:
    """Findings beyond the policy, those that are accepted with the reason, and those that the policy lets pass."""

    scanned: Mapping[str, str]
    """What was looked at, in words."""
    findings: list[Finding] = field(default_factory=list)
    accepted: list[tuple[Finding, str]] = field(default_factory=list)
    below: list[Finding] = field(default_factory=list)


def make(scan: Scan, environment: str, result: Result) -> Document:
    """The report as JSON has it."""
    return {
        "scan": scan.value,
        "environment": environment,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "scanned": dict(result.scanned),
        "findings": [asdict(finding) for finding in result.findings],
        "accepted": [asdict(finding) | {"reason": reason} for finding, reason in result.accepted],
        "below": [asdict(finding) for finding in result.below],
    }
