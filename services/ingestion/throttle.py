"""How many bytes a second are read from a station, in all its connections together."""

import threading
import time
from collections.abc import Iterable, Iterator

BURST_SECONDS = 1.0


class Throttle:
    """A token bucket of `rate` bytes a second that holds what comes in one second. Threads may share it."""

    def __init__(self, rate: int) -> None:
        """The bucket is full."""
        self._rate = rate
        self._lock = threading.Lock()
        self._paid = 0.0  # until when what was read is paid for, by the monotonic clock

    def of(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the chunks through, each as soon as there are tokens for it."""
        for chunk in chunks:
            time.sleep(self._wait(len(chunk)))
            yield chunk

    def _wait(self, size: int) -> float:
        """Take tokens; returns the seconds until the bucket has them."""
        with self._lock:
            now = time.monotonic()
            self._paid = max(self._paid, now - BURST_SECONDS) + size / self._rate
            return max(0.0, self._paid - now)
