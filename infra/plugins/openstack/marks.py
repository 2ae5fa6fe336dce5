"""Marks on what the plugin makes, by which it finds again what an interrupted run left.

A mark names the resource (its URN, which holds project and stack) and the attempt that made it. The attempts that the
state knows come with the inputs of each resource; what bears a resource's mark of another attempt is an orphan.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

ATTEMPT = "__attempt"
"""The input that carries the attempt; the engine does not show names that begin so."""

_PREFIX = "pulumi-"


@dataclass(frozen=True)
class Found:
    """An object of the cloud."""

    identity: str
    name: str
    description: str
    mark: str


def mark_of(urn: str, attempt: str) -> str:
    """The mark of an object: of letters, digits and dashes, shorter than any cloud's limit of a tag."""
    return f"{_of_resource(urn)}{attempt}"


def is_mark(tag: str) -> bool:
    """Whether a tag is a mark."""
    return tag.startswith(_PREFIX) and len(tag) > len(_PREFIX) + 16


def first_mark(tags: Iterable[str]) -> str:
    """The mark among tags, empty where there is none."""
    return next((tag for tag in tags if is_mark(tag)), "")


def _of_resource(urn: str) -> str:
    return f"{_PREFIX}{hashlib.sha256(urn.encode()).hexdigest()[:20]}-"


class Ledger:
    """The attempts of each resource that the state knows, and what the cloud held before this run made anything."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[str, set[str]] = {}
        self._before: dict[str, Mapping[str, Found]] = {}
        self._owners: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, urn: str, attempt: str | None) -> None:
        """Learn of an attempt that is in the state or made now."""
        if attempt:
            with self._lock:
                self._known.setdefault(urn, set()).add(attempt)

    def claim(self, identity: str, urn: str) -> bool:
        """Note whose an object is that bears no mark; False where it is another resource's."""
        with self._lock:
            return self._owners.setdefault(identity, urn) == urn

    def before(self, token: str, look: Callable[[], Mapping[str, Found]]) -> Mapping[str, Found]:
        """The objects of a type that were there before this run's first one; `look` is called once."""
        with self._lock:
            if token not in self._before:
                self._before[token] = look()
            return self._before[token]

    def orphans(self, urn: str, found: Mapping[str, Found]) -> list[str]:
        """Ids of the objects that were made for a resource and that no state holds."""
        known = {mark_of(urn, attempt) for attempt in self._known.get(urn, ())}
        prefix = _of_resource(urn)
        return [item.identity for item in found.values() if item.mark.startswith(prefix) and item.mark not in known]
