"""What a managed resource makes of changes and drift."""

from typing import Any, ClassVar

import pytest

from refsys.infra.managed import DRIFT, GoneError, Managed, Properties


class Thing(Managed):
    """A thing that lives in memory."""

    replace_on: ClassVar[frozenset[str]] = frozenset({"place"})
    live: ClassVar[dict[str, Any]] = {}

    def identity(self, props: Properties) -> str:
        return str(props["place"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        self.live[props["place"]] = props["colour"]
        return {"made": "again" if old else "first"}

    def probe(self, props: Properties) -> str:
        if props["place"] not in self.live:
            raise GoneError
        return "" if self.live[props["place"]] == props["colour"] else "repainted"

    def remove(self, props: Properties) -> None:
        self.live.pop(props["place"], None)


@pytest.fixture
def thing() -> Thing:
    Thing.live.clear()
    return Thing()


INPUTS: Properties = {"place": "here", "colour": "red", "made": None}


def test_outputs_are_kept_and_an_unchanged_thing_stays(thing: Thing) -> None:
    made = thing.create(INPUTS)
    assert made.outs is not None
    assert made.outs["made"] == "first"
    assert thing.diff(made.id, made.outs, INPUTS).changes is False


def test_a_changed_field_changes_and_another_replaces(thing: Thing) -> None:
    outs = thing.create(INPUTS).outs or {}
    changed = thing.diff("here", outs, INPUTS | {"colour": "blue"})
    assert (changed.changes, changed.replaces) == (True, [])
    moved = thing.diff("here", outs, INPUTS | {"place": "there"})
    assert (moved.changes, moved.replaces, moved.delete_before_replace) == (True, ["place"], True)


def test_drift_is_seen_and_mended(thing: Thing) -> None:
    outs = thing.create(INPUTS).outs or {}
    thing.live["here"] = "green"
    seen = thing.read("here", outs).outs or {}
    assert seen[DRIFT] == "repainted"
    assert thing.diff("here", seen, INPUTS).changes is True
    mended = thing.update("here", seen, INPUTS).outs or {}
    assert DRIFT not in mended
    assert thing.live["here"] == "red"


def test_what_is_gone_has_no_id(thing: Thing) -> None:
    outs = thing.create(INPUTS).outs or {}
    thing.live.clear()
    assert thing.read("here", outs).id == ""
