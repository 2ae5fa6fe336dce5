"""What is to be looked at: each thing once, by one thread at a time, again soon or later."""

import heapq
import threading
import time
from uuid import UUID


class Work:
    """A set of jobs that wait to be looked at; what is added while it is being looked at comes again."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._changed = threading.Condition()
        self._due: list[tuple[float, UUID]] = []
        self._waiting: dict[UUID, float] = {}
        self._taken: set[UUID] = set()

    def add(self, job: UUID, seconds: float = 0) -> None:
        """Have a job looked at, in some seconds at the latest."""
        due = time.monotonic() + seconds
        with self._changed:
            if due < self._waiting.get(job, float("inf")):
                self._waiting[job] = due
                heapq.heappush(self._due, (due, job))
                self._changed.notify()

    def take(self, patience: float) -> UUID | None:
        """Return the next job, None if none is due in time; `done` gives it back."""
        end = time.monotonic() + patience
        with self._changed:
            while True:
                now = time.monotonic()
                if job := self._next(now):
                    return job
                until = min(end, self._due[0][0] if self._due and self._due[0][0] > now else end)
                if now >= end:
                    return None
                self._changed.wait(max(until - now, 0.001))

    def _next(self, now: float) -> UUID | None:
        later = []
        found = None
        while self._due and self._due[0][0] <= now:
            due, job = heapq.heappop(self._due)
            if self._waiting.get(job) != due:
                continue  # was put forward
            if job in self._taken:
                later.append((due, job))
                continue
            del self._waiting[job]
            self._taken.add(job)
            found = job
            break
        for each in later:
            heapq.heappush(self._due, each)
        return found

    def done(self, job: UUID) -> None:
        """Give a job back."""
        with self._changed:
            self._taken.discard(job)
            self._changed.notify()
