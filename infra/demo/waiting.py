"""Waits for several things at once, and shows how far each is."""

import time
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console

from refsys.infra.cli.steps import Steps
from refsys.infra.demo.stations import Played
from refsys.infra.errors import UserError

WAIT_SECONDS = 300.0
"""Without any progress; the environment asks a station of the demo that does not answer once a minute."""
POLL_SECONDS = 1.0


class Awaited(Protocol):
    """Something to wait for."""

    title: str
    total: int
    """What there will be in the end, in steps."""

    def look(self) -> int:
        """See how much of `total` is there."""
        ...

    def note(self) -> str:
        """How far it is, for people, as of the last look."""
        ...

    def late(self) -> UserError:
        """What is missing, and what to do."""
        ...


class Polls:
    """The second listing of a station: what was there at the first one has then been taken."""

    total = 2

    def __init__(self, station: Played) -> None:
        """Of a station that is being played."""
        self.title = f"{station.settings.name} is polled twice"
        self._station = station
        self._asked = 0

    def look(self) -> int:
        """See how often the station was listed."""
        self._asked = self._station.listings()
        return min(self._asked, self.total)

    def note(self) -> str:
        """How often."""
        return "once" if self._asked else "not yet; the environment looks for it once a minute"

    def late(self) -> UserError:
        """What keeps the environment from polling."""
        settings = self._station.settings
        return UserError(
            f"the environment asked the station {settings.name} at {settings.host}:{settings.port} {self._asked} times "
            f"within {WAIT_SECONDS:.0f} s, not {self.total} times",
            fix="see the log of ingestion-trigger in the namespace processing, and its network policy",
        )


def wait_for(awaited: Sequence[Awaited], console: Console) -> None:
    """Wait until all is there.

    Raises:
        UserError: nothing new came for `WAIT_SECONDS`; the error is of the first thing that is not complete.
    """
    waiting, counts = list(awaited), dict.fromkeys(awaited, -1)
    until = 0.0
    with Steps(console) as steps:
        for each in waiting:
            steps.begin(each.title, each.title)
        while waiting:
            for each in list(waiting):
                count = each.look()
                steps.note(each.title, each.note())
                if count != counts[each]:
                    counts[each], until = count, time.monotonic() + WAIT_SECONDS
                if count >= each.total:
                    steps.end(each.title)
                    waiting.remove(each)
            if waiting and time.monotonic() > until:
                for each in waiting:
                    steps.end(each.title, each.note(), ok=False)
                raise waiting[0].late()
            if waiting:
                time.sleep(POLL_SECONDS)
