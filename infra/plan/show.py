"""A plan for people, and as JSON for programs."""

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from refsys.infra.plan.changes import Action, Change, Plan
from refsys.infra.plan.groups import group_of, in_order
from refsys.infra.plan.values import shown

MARKS = {
    Action.CREATE: ("+", "green"),
    Action.CHANGE: ("~", "yellow"),
    Action.REPLACE: ("±", "bold magenta"),
    Action.DELETE: ("-", "red"),
}
SHOWN_FIELDS = 6


def lines(plan: Plan) -> Iterator[Text]:
    """Groups of changes, those of nodes first, then a line of counts."""
    for group, changes in _grouped(plan):
        yield Text(group, style="bold")
        for change in changes:
            yield from change_lines(change)
        yield Text()
    yield counts(plan)


def change_lines(change: Change) -> Iterator[Text]:
    """What happens to a resource, why, and which fields differ."""
    mark, style = MARKS[change.action]
    cause = f", because {' and '.join(change.because)} can't change in place" if change.because else ""
    yield Text.assemble("  ", (f"{mark} {change.action:<9}", style), change.title, (cause, "magenta"))
    if change.drift:
        yield Text.assemble("      ", ("found: ", "dim"), change.drift)
    for each in change.fields[:SHOWN_FIELDS]:
        name = Text(each.path, style="magenta" if each.path.partition(".")[0] in change.because else "")
        yield Text.assemble("      ", name, ": ", (shown(each.old), "dim"), " → ", shown(each.new))
    if (more := len(change.fields) - SHOWN_FIELDS) > 0:
        yield Text(f"      … {more} more fields; --json has all", style="dim")


def counts(plan: Plan) -> Text:
    """How much happens, in a line."""
    if not plan.changes:
        return Text(f"nothing changes: all {len(plan.after)} resources are as the config says", style="green")
    parts = [(f"{plan.count(action)} to {action}", MARKS[action][1]) for action in Action if plan.count(action)]
    kept = len(plan.after) - sum(plan.count(action) for action in (Action.CREATE, Action.CHANGE, Action.REPLACE))
    rest = "1 stays as it is" if kept == 1 else f"{kept} stay as they are"
    return Text(", ").join([*(Text(text, style=style) for text, style in parts), Text(rest)])


def as_json(plan: Plan) -> dict[str, Any]:
    """All of the plan that is no secret."""
    return {
        "counts": {str(action): plan.count(action) for action in Action} | {"resources": len(plan.after)},
        "changes": [change_as_json(change) for _, changes in _grouped(plan) for change in changes],
    }


def change_as_json(change: Change) -> dict[str, Any]:
    """One change."""
    return {
        "action": str(change.action),
        "group": group_of(change.resource.kind),
        "type": change.resource.type,
        "name": change.resource.name,
        "urn": change.resource.urn,
        "because": list(change.because),
        "drift": change.drift,
        "fields": [{"path": each.path, "old": each.old, "new": each.new} for each in change.fields],
    }


def _grouped(plan: Plan) -> Iterator[tuple[str, list[Change]]]:
    order = list(Action)
    for group in in_order():
        found = [change for change in plan.changes if group_of(change.resource.kind) == group]
        if found:
            yield group, sorted(found, key=lambda each: (-order.index(each.action), each.title))
