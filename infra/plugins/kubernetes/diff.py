"""What an update would change: old inputs against new inputs, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from refsys.infra.plugins.kubernetes.config import Config
from refsys.infra.plugins.kubernetes.immutable import rules_for
from refsys.infra.plugins.kubernetes.objects import is_autonamed, kind_of, metadata_of, name_of
from refsys.infra.plugins.kubernetes.values import UNKNOWN, Path, Properties


class Change(Enum):
    """How a field changes."""

    ADD = "add"
    DELETE = "delete"
    UPDATE = "update"


@dataclass(frozen=True)
class FieldChange:
    """One changed field."""

    path: Path
    change: Change
    replaces: bool = False
    """Whether Kubernetes takes this change only in a new object."""


@dataclass(frozen=True)
class Difference:
    """All changed fields, and the order of a replacement."""

    changes: tuple[FieldChange, ...]
    delete_first: bool = False

    @property
    def replaces(self) -> bool:
        """Whether the object has to be replaced."""
        return any(change.replaces for change in self.changes)


def compare(old: Properties, new: Properties, config: Config, namespaces: tuple[str | None, str]) -> Difference:
    """Compare the inputs in the state with the program's.

    `namespaces` are the object's own (`None` outside namespaces) and the provider's default. The object is deleted
    before it is made anew where both would have the same name; an automatic name is made anew with the object.
    """
    rules = rules_for(kind_of(new), old, config)
    changes = [
        FieldChange(path, change, any(rule.covers(path) for rule in rules))
        for path, change in field_changes(old, new)
        if path not in (("metadata", "namespace"), ("apiVersion",))
    ]
    if old.get("apiVersion") != new.get("apiVersion"):
        moved = kind_of(old).group != kind_of(new).group
        changes.append(FieldChange(("apiVersion",), Change.UPDATE, replaces=moved))
    namespace, default = namespaces
    moved = namespace is not None and (metadata_of(new).get("namespace") or default) != namespace
    if moved:
        changes.append(FieldChange(("metadata", "namespace"), Change.UPDATE, replaces=True))
    result = Difference(tuple(changes))
    same_place = name_of(old) == name_of(new) and not moved
    return replace(result, delete_first=result.replaces and same_place and not is_autonamed(new))


def field_changes(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Change]]:
    """Yield the path of every field that differs, as deep as it can be told."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in new:
                yield (*path, key), Change.DELETE
            elif key not in old:
                yield (*path, key), Change.ADD
            else:
                yield from field_changes(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for number in range(max(len(old), len(new))):
            if number >= len(new):
                yield (*path, number), Change.DELETE
            elif number >= len(old):
                yield (*path, number), Change.ADD
            else:
                yield from field_changes(old[number], new[number], (*path, number))
    elif new is UNKNOWN or old != new or isinstance(old, bool) != isinstance(new, bool):
        yield path, Change.UPDATE
