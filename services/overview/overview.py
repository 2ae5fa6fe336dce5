"""The overview as many ask for it: made again at most every few seconds."""

import threading
import time
from pathlib import Path

from refsys.services.overview.gather import Gathered, Sources

FRESH_SECONDS = 10.0


class Overview:
    """What is known now, and where the runbooks are."""

    def __init__(self, sources: Sources, runbooks: Path | None = None) -> None:
        """Nothing is asked for yet."""
        self._sources = sources
        self._runbooks = runbooks
        self._lock = threading.Lock()
        self._found: Gathered | None = None
        self._until = 0.0

    def now(self) -> Gathered:
        """Return what is known; who asks at the same time waits for the same answer."""
        with self._lock:
            if self._found is None or time.monotonic() > self._until:
                self._found = self._sources.gather()
                self._until = time.monotonic() + FRESH_SECONDS
            return self._found

    def runbook(self, area: str, name: str) -> str | None:
        """Return the text of a runbook, None if there is none."""
        file = self._runbooks / f"{area}.{name}.md" if self._runbooks else None
        return file.read_text(encoding="utf-8") if file and file.is_file() else None
