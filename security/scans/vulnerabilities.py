"""Bills of materials against the vulnerability database: what is beyond the policy and not waived."""

from collections.abc import Mapping
from pathlib import Path

from refsys.security.scans import database, grype, policy, waivers
from refsys.security.scans.policy import SEVERITIES
from refsys.security.scans.report import Finding, Result


def examine(bills: Mapping[str, Path], components: int) -> Result:
    """Look at bills of materials, by the name of what each is of; `components` is how many they name in all.

    Raises:
        UserError: without a database that is new enough, or where a waiver has ended.
    """
    rules, known = policy.load(), waivers.load()
    state = database.fresh(rules.database_days)
    found: dict[tuple[str, ...], list[str]] = {}
    for name, bill in bills.items():
        for match in grype.matches(bill):
            key = (match.id, match.package, match.severity, f"{match.version}; {match.fix}")
            places = found.setdefault(key, [])
            if name not in places:
                places.append(name)
    findings = [
        Finding(identity, package, tuple(places), severity, text)
        for (identity, package, severity, text), places in found.items()
    ]
    findings.sort(key=lambda finding: (-_rank(finding.level), finding.what, finding.id))
    stand, accepted = waivers.split((one for one in findings if rules.counts(one.level)), known)
    return Result(
        {
            "bills of materials": ", ".join(bills),
            "components": str(components),
            "vulnerability database": str(state),
            "policy": f"severity {rules.severity} and above counts",
        },
        stand,
        accepted,
        [finding for finding in findings if not rules.counts(finding.level)],
    )


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
