"""What an update would change, field by field."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from refsys.infra.plugins.common.values import UNKNOWN, Path


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
    """Whether the change needs a new object."""


@dataclass(frozen=True)
class Difference:
    """All changed fields, and the order of a replacement."""

    changes: tuple[FieldChange, ...]
    delete_first: bool = False

    @property
    def replaces(self) -> bool:
        """Whether the object has to be replaced."""
        return any(change.replaces for change in self.changes)


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
