"""Objects of a collection that are asked for at the same time, read by one request."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from refsys.infra.plugins.common.values import Properties

One = Callable[[str], Properties | None]
Many = Callable[[], Mapping[str, Properties]]


@dataclass
class _Batch:
    wanted: list[str] = field(default_factory=list)
    answer: Future[Mapping[str, Properties | None]] = field(default_factory=Future)


class Collection:
    """One collection of the cloud.

    Nobody gets an answer that is older than his question: who asks while a request is under way waits for the next.
    """

    def __init__(self, one: One, many: Many) -> None:
        """`one` reads an object by id, `many` lists all of them by id."""
        self._one, self._many = one, many
        self._next = _Batch()
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def read(self, identity: str) -> Properties | None:
        """Read an object, None where it is gone; errors are those of the request."""
        with self._lock:
            batch = self._next
            batch.wanted.append(identity)
            first = len(batch.wanted) == 1
        if first:
            with self._reading:
                with self._lock:
                    self._next = _Batch()
                try:
                    batch.answer.set_result(self._answer(batch.wanted))
                except BaseException as error:  # all who wait get it
                    batch.answer.set_exception(error)
        return batch.answer.result()[identity]

    def _answer(self, wanted: list[str]) -> Mapping[str, Properties | None]:
        listed = self._many() if len(wanted) > 1 else {}
        # A listing shows what is the project's own; others may be readable all the same.
        return {each: listed.get(each) or self._one(each) for each in wanted}


class Collections:
    """The collections of a cloud, by service and path."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[tuple[str, str], Collection] = {}
        self._lock = threading.Lock()

    def of(self, service: str, path: str, one: One, many: Many) -> Collection:
        """The collection; how it is read is said by whoever comes first."""
        with self._lock:
            return self._known.setdefault((service, path), Collection(one, many))
