"""Who may work next: higher priority first, and lower ones in a fair share, so that nobody starves.

In a round each priority has as many turns as its weight. A turn goes to the highest priority that waits and has
turns left; when none of those that wait has any, a new round begins. With weights 12, 3, 1 a low job waits for at
most 15 others, however many of higher priority keep coming.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class StoppedError(Exception):
    """The process stops; the job is left to its successor."""


class Gate:
    """Slots that jobs of several priorities share; the first priority of `weights` is the highest.

    With more than one slot the lower priorities never have all of them: the highest never waits for a long job of
    a lower one.
    """

    def __init__(self, weights: Mapping[str, int], slots: int, stop: threading.Event) -> None:
        """Nothing runs yet."""
        self._weights = dict(weights)
        self._first = next(iter(weights))
        self._slots = slots
        self._stop = stop
        self._turns = dict(weights)
        self._waiting = dict.fromkeys(weights, 0)
        self._running = dict.fromkeys(weights, 0)
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, priority: str) -> Iterator[None]:
        """Work in a slot, after waiting for the turn of `priority`; raises `StoppedError` when the process stops."""
        with self._changed:
            self._waiting[priority] += 1
            try:
                while self._next() != priority:
                    if self._stop.is_set():
                        raise StoppedError
                    self._changed.wait(0.5)
                self._turns[priority] -= 1
                self._running[priority] += 1
            finally:
                self._waiting[priority] -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._running[priority] -= 1
                self._changed.notify_all()

    def _next(self) -> str | None:
        """The priority whose turn it is; None if none may start now."""
        running = sum(self._running.values())
        lower = running - self._running[self._first]
        lower_may = self._slots == 1 or lower < self._slots - 1
        free = running < self._slots
        may = [name for name, count in self._waiting.items() if count and free and (name == self._first or lower_may)]
        if may and not any(self._turns[name] > 0 for name in may):
            self._turns = dict(self._weights)
        return next((name for name in may if self._turns[name] > 0), None)
