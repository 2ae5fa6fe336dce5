"""What the three places say of one key, and which disagreement that is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import reduce
from heapq import merge
from itertools import groupby
from operator import attrgetter

from refsys.services.catalogue.tables import LOST as STATE_LOST
from refsys.services.catalogue.tables import VALID as STATE_VALID


class Kind(StrEnum):
    """The disagreements."""

    ORPHAN = "object-without-catalogue-row"
    LOST = "row-without-object"
    WRONG_SIZE = "row-with-another-size"
    FOUND_AGAIN = "lost-row-with-its-object"
    UNCATALOGUED = "published-without-catalogue-row"
    UNPUBLISHED = "catalogued-not-published"


@dataclass(frozen=True)
class State:
    """One key of one bucket: sizes in bytes, None where a place does not know the key."""

    key: str
    object_size: int | None = None
    catalogue_size: int | None = None
    catalogue_state: str | None = None
    published_size: int | None = None
    recallable: bool | None = None
    """Whether the PRIP shows it as offline, and a long-term archive has it."""
    changed: datetime | None = None
    """When the last of the places that know it changed."""

    def merged(self, other: "State") -> "State":
        """Both together, of the same key."""
        known = {
            name: value
            for name in ("object_size", "catalogue_size", "catalogue_state", "published_size", "recallable")
            if (value := getattr(other, name)) is not None
        }
        changes = [moment for moment in (self.changed, other.changed) if moment]
        return replace(self, **known, changed=max(changes, default=None))


def classify(state: State) -> Kind | None:  # noqa: PLR0911  # a table
    """Return the disagreement, None if there is none.

    An invalid product is rightly not published, one that an archive brings back rightly only published.
    """
    if state.catalogue_size is None:
        if state.published_size is not None:
            return None if state.recallable and state.object_size is None else Kind.UNCATALOGUED
        return Kind.ORPHAN if state.object_size is not None else None
    if state.object_size is None:
        return Kind.LOST
    if state.object_size != state.catalogue_size:
        return Kind.WRONG_SIZE
    if state.catalogue_state == STATE_LOST:
        return Kind.FOUND_AGAIN
    if state.catalogue_state == STATE_VALID and state.published_size is None:
        return Kind.UNPUBLISHED
    return None


def detail(state: State) -> str:
    """Say in words what each place knows."""
    sizes = {
        "object": state.object_size,
        "catalogue": state.catalogue_size,
        "PRIP": state.published_size,
    }
    known = [f"{place} {size} bytes" if size is not None else f"{place} nothing" for place, size in sizes.items()]
    return ", ".join(known) + (f", state {state.catalogue_state}" if state.catalogue_state else "")


def together(*listings: Iterable[State]) -> Iterator[State]:
    """Merge listings, each in the order of its keys, into one state a key; memory holds one key of each."""
    for _, states in groupby(merge(*listings, key=attrgetter("key")), key=attrgetter("key")):
        yield reduce(State.merged, states)
