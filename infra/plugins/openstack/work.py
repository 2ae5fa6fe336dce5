"""One operation on one resource: its deadline, what is shown of it, and the engine's wish to stop."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from refsys.infra.plugins.common.errors import CancelledError, PluginError
from refsys.infra.plugins.common.progress import Progress
from refsys.infra.plugins.openstack.marks import Ledger

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 4.0


@dataclass
class Work:
    """An operation; `mark` is put on what it makes."""

    urn: str
    mark: str
    ledger: Ledger
    progress: Progress
    cancelled: threading.Event
    seconds: float
    _begun: float = field(default_factory=time.monotonic, init=False)

    def until(self, probe: Callable[[], str], seconds: float | None = None) -> None:
        """Ask until `probe` returns an empty text; its text says what is waited for.

        Raises:
            PluginError: the time is over; the message ends with what was waited for.
            CancelledError: the engine asked to stop.
        """
        pause = _FIRST_PAUSE
        end = min(self._begun + self.seconds, time.monotonic() + (seconds or self.seconds))
        while waiting_for := probe():
            self.progress.status(waiting_for)
            if time.monotonic() > end:
                raise PluginError(f"gave up after {time.monotonic() - self._begun:.0f} s: {waiting_for}")
            if self.cancelled.wait(pause):
                raise CancelledError(f"stopped while waiting: {waiting_for}")
            pause = min(pause * 1.5, _LONGEST_PAUSE)
