"""Progress on the terminal: a line for each finished step, and what is under way, with times."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

HEARTBEAT_SECONDS = 20

log = logging.getLogger("refsys")


@dataclass
class _Step:
    title: str
    started: float = field(default_factory=time.monotonic)
    note: str = ""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


class Steps:
    """Shows steps while they run. Without a terminal it prints what is under way now and then instead."""

    def __init__(self, console: Console) -> None:
        """Show on `console`."""
        self.console = console
        self._running: dict[str, _Step] = {}
        self._lock = threading.Lock()
        self._live = Live(self, console=console, refresh_per_second=5, transient=True) if console.is_terminal else None
        self._stopped = threading.Event()

    def __enter__(self) -> "Steps":
        """Start showing."""
        if self._live:
            self._live.start()
        else:
            threading.Thread(target=self._heartbeat, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop showing."""
        self._stopped.set()
        if self._live:
            self._live.stop()

    def __rich__(self) -> RenderableType:
        """What is under way."""
        with self._lock:
            steps = list(self._running.values())
        return Group(*(Spinner("dots", Text(f"{step.title}  {step.seconds:.0f} s  {step.note}")) for step in steps))

    def begin(self, key: str, title: str) -> None:
        """A step starts."""
        with self._lock:
            self._running[key] = _Step(title)
        log.info("begin %s", title)

    def note(self, key: str, note: str) -> None:
        """Something to show beside a running step."""
        with self._lock:
            if key in self._running:
                self._running[key].note = note

    def end(self, key: str, outcome: str = "", *, ok: bool = True) -> None:
        """A step ends."""
        with self._lock:
            step = self._running.pop(key, None)
        if step is None:
            return
        mark = "[green]✓[/]" if ok else "[red]✗[/]"
        self.console.print(f"{mark} {step.title} {outcome} [dim]{step.seconds:.1f} s[/]", highlight=False)
        log.info("end %s %s %.1f s", step.title, outcome or ("ok" if ok else "failed"), step.seconds)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """A step that lasts as long as the block; what it yields shows a note beside it."""
        self.begin(title, title)
        try:
            yield lambda note: self.note(title, note)
        except BaseException:
            self.end(title, ok=False)
            raise
        self.end(title)

    def _heartbeat(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            with self._lock:
                texts = [f"{step.title} {step.seconds:.0f} s {step.note}".strip() for step in self._running.values()]
            for text in texts:
                self.console.print(f"… {text}", highlight=False, markup=False)
