"""From the events of a preview to what is made, changed, replaced and deleted, and why."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pulumi.automation import EngineEvent, OpType
from pulumi.automation.events import StepEventMetadata, StepEventStateMetadata

from refsys.infra.managed import DRIFT
from refsys.infra.plan.values import SECRET, Field, differences, plain, secrets


class Action(StrEnum):
    """What happens to a resource."""

    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"
    DELETE = "delete"


ACTIONS = {
    OpType.CREATE: Action.CREATE,
    OpType.IMPORT: Action.CREATE,
    OpType.UPDATE: Action.CHANGE,
    OpType.DELETE: Action.DELETE,
    OpType.DISCARD: Action.DELETE,
    OpType.REPLACE: Action.REPLACE,
    OpType.CREATE_REPLACEMENT: Action.REPLACE,
    OpType.DELETE_REPLACED: Action.REPLACE,
    OpType.IMPORT_REPLACEMENT: Action.REPLACE,
}


@dataclass(frozen=True)
class Resource:
    """A resource as the state has it, or as the program wants it; inputs without secrets."""

    urn: str
    type: str
    """The type's token."""
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The type; of the project's own ones without what all dynamic resources begin with."""
        return self.type.removeprefix("pulumi-python:dynamic/")

    @property
    def name(self) -> str:
        """Its name in the program."""
        return self.urn.rpartition("::")[2]


@dataclass(frozen=True)
class Change:
    """What happens to one resource."""

    action: Action
    resource: Resource
    fields: tuple[Field, ...] = ()
    because: tuple[str, ...] = ()
    """Fields that can't change in place."""
    drift: str = ""
    """What is wrong with the live thing, where that is known."""

    @property
    def title(self) -> str:
        """Type and name, as `Node w1`."""
        return f"{self.resource.kind.rpartition(':')[2]} {self.resource.name}"


@dataclass(frozen=True)
class Plan:
    """What an `up` would do."""

    changes: tuple[Change, ...]
    before: tuple[Resource, ...]
    """Everything in the state."""
    after: tuple[Resource, ...]
    """Everything that the program declares."""
    drifted: tuple[Change, ...] = ()
    """What somebody else changed or removed, as looking at it found; an `up` mends it."""
    settled: bool = False
    """Whether an `up` would leave everything as it is, and the state as well."""

    def count(self, action: Action) -> int:
        """How many resources that happens to."""
        return sum(change.action is action for change in self.changes)


def plan_of(events: Iterable[EngineEvent]) -> Plan:
    """The plan that a preview's events tell."""
    steps: dict[str, list[StepEventMetadata]] = {}
    looks: dict[str, StepEventMetadata] = {}
    outcomes: list[StepEventMetadata] = []
    for event in events:
        if (before := event.resource_pre_event) and before.metadata.op is not OpType.REFRESH:
            steps.setdefault(before.metadata.urn, []).append(before.metadata)
        elif after := event.res_outputs_event:
            outcomes.append(after.metadata)
            if after.metadata.op is OpType.REFRESH:
                looks[after.metadata.urn] = after.metadata
    changes = [change for urn in steps if (change := _change(steps[urn]))]
    drifted = [change for look in looks.values() if (change := _drifted(look))]
    return Plan(
        tuple(changes),
        tuple(_states(looks.values() or _firsts(steps), old=True)),
        tuple(_states(_firsts(steps), old=False)),
        tuple(drifted),
        settled=bool(outcomes) and not changes and all(map(_is_settled, outcomes)),
    )


def _is_settled(step: StepEventMetadata) -> bool:
    """Whether the state would say the same of it as before; the outputs of the stack are among it."""
    if step.old is None or step.new is None or step.op not in (OpType.SAME, OpType.REFRESH):
        return False
    return vars(step.old) == vars(step.new)


def _firsts(steps: Mapping[str, list[StepEventMetadata]]) -> list[StepEventMetadata]:
    """A step of each resource, the one that has its new state where there is one."""
    return [next((step for step in found if step.new), found[0]) for found in steps.values()]


def _states(steps: Iterable[StepEventMetadata], *, old: bool) -> Iterator[Resource]:
    for step in steps:
        state = step.old if old else step.new
        if state is not None and _is_thing(state) and (old or step.op not in (OpType.DELETE, OpType.DISCARD)):
            yield _resource(state)


def _change(steps: list[StepEventMetadata]) -> Change | None:
    found = {ACTIONS[step.op] for step in steps if step.op in ACTIONS}
    if not found:
        return None
    # A replacement is several steps.
    action = Action.REPLACE if Action.REPLACE in found else found.pop()
    whole = max(steps, key=lambda step: (step.new is not None) + (step.old is not None))
    state = whole.new or whole.old
    if state is None or not _is_thing(state):
        return None
    resource = _resource(state)
    if action in (Action.CREATE, Action.DELETE) or whole.old is None or whole.new is None:
        return Change(action, resource)
    keys = tuple(dict.fromkeys(key for step in steps for key in step.keys or () if key != DRIFT))
    fields = tuple(_fields(_resource(whole.old), resource, whole))
    return Change(action, resource, fields, keys, str(plain(dict(whole.old.outputs or {}).get(DRIFT, ""))))


def _fields(old: Resource, new: Resource, step: StepEventMetadata) -> Iterator[Field]:
    """The inputs that differ; a secret one where nothing else explains the change, or the provider names it."""
    # Of the project's own resources, inputs without a value are outputs.
    left = {key: value for key, value in old.inputs.items() if value is not None}
    right = {key: value for key, value in new.inputs.items() if value is not None}
    found = list(differences(left, right))
    yield from found
    hidden = [path for path in secrets(right) if path in set(secrets(left))]
    named = {re.sub(r'\["?([^]"]+)"?\]', r".\1", path) for path in step.detailed_diff or {}}
    told = [path for path in hidden if any(_within(path, name) for name in named)]
    unexplained = not found and not named and not dict(old.outputs).get(DRIFT)
    yield from (Field(path, SECRET, SECRET) for path in (told or (hidden if unexplained else ())))


def _within(path: str, name: str) -> bool:
    return name == path or name.startswith(f"{path}.") or path.startswith(f"{name}.")


def _drifted(look: StepEventMetadata) -> Change | None:
    """What looking at the live thing found: it is gone, not well, or has other values in the wanted fields."""
    if look.old is None or not _is_thing(look.old):
        return None
    old = _resource(look.old)
    if look.new is None:
        return Change(Action.DELETE, old, drift="it does not exist any more")
    new = _resource(look.new)
    drift = str(new.outputs.get(DRIFT, ""))
    fields = tuple(differences(dict(old.inputs), dict(new.inputs)))
    return Change(Action.CHANGE, old, fields, drift=drift) if drift or fields else None


def _is_thing(state: StepEventStateMetadata) -> bool:
    """Whether it is anything by itself: a component is not, nor is a provider that nobody declared."""
    undeclared = state.type.startswith("pulumi:providers:") and "::default" in state.urn
    return bool(state.custom) and not undeclared


def _resource(state: StepEventStateMetadata) -> Resource:
    return Resource(state.urn, state.type, plain(dict(state.inputs or {})), plain(dict(state.outputs or {})))
