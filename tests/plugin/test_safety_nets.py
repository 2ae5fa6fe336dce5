"""What a preview tells of a small program that the real engine looks at."""

import json

from tests.plugin.small import Small, small  # noqa: F401 - a fixture

from refsys.infra.plan import show
from refsys.infra.plan.changes import Action, Plan

FIRST = """
Thing("a", "here", "red")
Thing("b", "there", "red")
Thing("gone", "away", "red")
Thing("kept", "still", "red", word=pulumi.Output.secret("correct-horse"))
"""
SECOND = """
Thing("a", "here", "blue")
Thing("b", "elsewhere", "red")
Thing("new", "fresh", "red")
Thing("kept", "still", "red", word=pulumi.Output.secret("battery-staple"))
"""


def told(plan: Plan) -> dict[str, tuple[str, list[str], list[str]]]:
    """Action, reasons and fields by resource."""
    return {
        change.resource.name: (str(change.action), list(change.because), [str(each) for each in change.fields])
        for change in plan.changes
    }


def test_a_preview_tells_what_happens_and_why_and_touches_nothing(small: Small) -> None:  # noqa: F811
    stack = small.stack(FIRST)
    assert {change.action for change in stack.preview().changes} == {Action.CREATE}
    assert list(small.things.iterdir()) == []
    stack.up()
    again = stack.preview()
    assert again.changes == again.drifted == ()
    assert {each.name for each in again.before} == {each.name for each in again.after} == {"a", "b", "gone", "kept"}

    plan = small.stack(SECOND).preview()
    assert told(plan) == {
        "a": ("change", [], ["colour: red → blue"]),
        "b": ("replace", ["place"], ["place: there → elsewhere"]),
        "gone": ("delete", [], []),
        "kept": ("change", [], ["word: (secret) → (secret)"]),
        "new": ("create", [], []),
    }
    text = json.dumps(show.as_json(plan)) + "\n".join(line.plain for line in show.lines(plan))
    assert "correct-horse" not in text
    assert "battery-staple" not in text
    assert (small.things / "here").read_text() == "red"
    stack.destroy()


def test_what_somebody_else_changed_is_drift(small: Small) -> None:  # noqa: F811
    stack = small.stack(FIRST)
    stack.up()
    (small.things / "here").write_text("green")
    (small.things / "away").unlink()
    plan = stack.preview()
    assert {change.resource.name: change.drift for change in plan.drifted} == {
        "a": "somebody painted it green",
        "gone": "it does not exist any more",
    }
    assert {change.resource.name: str(change.action) for change in plan.changes} == {"a": "change", "gone": "create"}
    stack.up()
    assert stack.preview().changes == ()
    stack.destroy()
