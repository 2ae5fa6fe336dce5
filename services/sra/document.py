"""A plan as a document: programs read it as JSON, and the page is made of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from refsys.services.common.messages import iso
from refsys.services.sra.allocation import CHOSEN, THOUSANDTHS
from refsys.services.sra.tables import OPEN, PUBLISHED, REFUSED

Row = dict[str, Any]


def told(row: Mapping[str, Any]) -> Row:
    """A row with its times as text."""
    return {key: iso(value) if isinstance(value, datetime) else value for key, value in row.items()}


def document(plan: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> Row:
    """Return a plan with its decisions, its files, and the state of its publication."""
    decisions = [_decision(each) for each in plan["decisions"]]
    rules = Counter(each["rule"] for each in decisions)
    sent: Counter[str] = Counter()
    for each in decisions:
        sent[each["satellite"]] += each["sentGbit"]
    return {
        **told({key: value for key, value in plan.items() if key != "decisions"}),
        "state": state(plan, files),
        "chosen": rules.pop(CHOSEN, 0),
        "refused": dict(sorted(rules.items())),
        "sentGbit": {name: round(sent[name], 1) for name in sorted(sent)},
        "decisions": decisions,
        "files": [told(each) for each in files],
    }


def state(plan: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> str:
    """How far the publication of a plan came: `draft`, `publishing`, `published`, `incomplete` (files refused)."""
    if plan["published"] is None:
        return "draft"
    states = {each["state"] for each in files}
    if states & set(OPEN):
        return "publishing"
    return "incomplete" if REFUSED in states else PUBLISHED.lower()


def _decision(each: Mapping[str, Any]) -> Row:
    return {
        "satellite": each["satellite"],
        "station": each["station"],
        "antenna": each["antenna"],
        "start": iso(datetime.fromtimestamp(each["start"], UTC)),
        "stop": iso(datetime.fromtimestamp(each["stop"], UTC)),
        "elevation": round(each["elevation"], 2),
        "timeliness": each["timeliness"],
        "worth": each["worth"] // THOUSANDTHS,
        "sentGbit": each["sent"],
        "rule": each["rule"],
        "text": each["text"],
    }
