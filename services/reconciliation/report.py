"""A run's report as text, for people."""

from typing import Any


def render(report: dict[str, Any]) -> str:
    """Return the report as lines: totals, then each kind with its count, actions and some examples."""
    done = "compared and repaired" if report["repair"] else "compared, nothing repaired"
    lines = [
        f"Reconciliation {report['id']}: {done}",
        f"  from {report['started']} to {report['finished']}",
        f"  {report['objects']} objects, {report['catalogued']} catalogued, {report['published']} published",
    ]
    for kind, found in report["findings"].items():
        lines.append(f"{kind}: {found['count']}")
        lines += [f"  {action}: {count}" for action, count in found["actions"].items()]
        lines += [f"    {each['bucket']}/{each['key']}: {each['detail']}" for each in found["examples"]]
        if found["count"] > len(found["examples"]):
            lines.append(f"    and {found['count'] - len(found['examples'])} more")
    return "\n".join(lines) + "\n"
