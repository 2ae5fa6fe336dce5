"""Runs a processor's tasks: by `run-tasks` in the processor's container, over FIFOs that both containers see.

`run-tasks` (platform/images/files/services.c) is all of the distribution that is in that container. It begins when it
is told to, ends a task after its time, and says how each ended; where it falls silent, the container was ended.
"""

import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from refsys.services.common import logs
from refsys.services.execution.errors import JobError
from refsys.services.execution.usage import Usage
from refsys.services.production.order import Order, Task
from refsys.services.production.states import Outcome

PROGRAM, CONTROL, EVENTS = "run-tasks", "control", "events"
LAST_GOOD = 127
START_SECONDS = 600.0  # for the image to be there
STOP_SECONDS = 30.0
_POLL_SECONDS = 0.1

log = logs.get_logger()


@dataclass(frozen=True)
class Place:
    """The folder with the FIFOs and the program, as each of the two containers sees it."""

    folder: Path

    @property
    def control(self) -> Path:
        """What tells `run-tasks` to begin; closed, it ends."""
        return self.folder / CONTROL

    @property
    def events(self) -> Path:
        """What `run-tasks` says."""
        return self.folder / EVENTS


def command(order: Order, place: Place, work: Path, job_order: Path) -> list[str]:
    """Return the processor's container's command."""
    words = [str(place.folder / PROGRAM), str(place.control), str(place.events), str(work)]
    for task in order.tasks:
        words += [task.name, str(task.timeout_seconds), str(len(task.command) + 1), *task.command, str(job_order)]
    return words


class Tasks:
    """The tasks of an order while they run; `codes` are the exit codes so far, `usage` what they used."""

    def __init__(self, order: Order, control: int, events: int) -> None:
        """Begin."""
        self._order = order
        self._events = events
        self._watched = select.poll()
        self._watched.register(events, select.POLLIN)
        self._watched.register(control, 0)  # that nobody reads any more is told in any case
        self._text = b""
        self._end = time.monotonic() + order.total_timeout_seconds
        self.codes: dict[str, int] = {}
        self.usage: dict[str, Usage] = {}
        os.write(control, b"\n")

    def run(self, parent: str) -> None:
        """Wait for one task after the other; each is a REPORT task below `parent`.

        Raises:
            JobError: one did not end well.
        """
        for task in self._order.tasks:
            with logs.task(
                "ProcessingTask",
                chain=self._order.chain,
                mission=self._order.mission,
                satellite=self._order.satellite,
                child_of=parent,
                job=str(self._order.job_id),
                task=task.name,
            ) as report:
                try:
                    code = self._one(task)
                except JobError as error:
                    report.status = "TIMEOUT" if error.outcome is Outcome.TIMEOUT else "NOK"
                    report.error_code = self.codes.get(task.name, 1)
                    raise
                report.output = {"exit_code": code}

    def _one(self, task: Task) -> int:
        told, _, name = self._line().partition(" ")
        if (told, name) != ("start", task.name):
            raise JobError(f"task {task.name} did not start: {told} {name}".strip())
        log.info("task starts", job=str(self._order.job_id), task=task.name, command=" ".join(task.command)[:500])
        told, _, rest = self._line().partition(" ")
        if told == "usage":
            if used := Usage.told(rest.removeprefix(task.name).split()):
                self.usage[task.name] = used
            told, _, rest = self._line().partition(" ")
        detail = rest.removeprefix(task.name).strip()
        if told == "exit" and detail.isdigit():
            code = self.codes[task.name] = int(detail)
            if code > LAST_GOOD:
                raise JobError(f"task {task.name} ended with exit code {code}; its log says why")
            log.info("task ended", job=str(self._order.job_id), task=task.name, exit_code=code)
            return code
        if told == "timeout":
            raise JobError(f"task {task.name} did not end within {task.timeout_seconds} s", Outcome.TIMEOUT)
        if told == "signal" and detail.isdigit():
            number = int(detail)
            self.codes[task.name] = 128 + number
            why = ", as when there is not enough memory" if number == signal.SIGKILL else ""
            raise JobError(f"task {task.name} was ended by signal {number}{why}", killed=number == signal.SIGKILL)
        if told == "missing":
            raise JobError(f"task {task.name} can't be started: {detail}")
        raise JobError(f"task {task.name} told nonsense: {told} {rest}"[:500])

    def _line(self) -> str:
        while b"\n" not in self._text:
            left = self._end - time.monotonic()
            if left <= 0:
                raise JobError(f"the tasks did not end within {self._order.total_timeout_seconds} s", Outcome.TIMEOUT)
            told = dict(self._watched.poll(min(left, 3600) * 1000))
            if not told:
                continue
            data = os.read(self._events, 4096) if told.get(self._events, 0) & select.POLLIN else b""
            if not data:
                raise JobError("the processor's container was ended from outside", killed=True)
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        return line.decode("utf-8", "replace")


def over(place: Place) -> None:
    """Let the processor's container end, whether it has begun, waits for that, or is not there yet."""
    if not place.control.exists():
        return
    control = os.open(place.control, os.O_RDWR | os.O_NONBLOCK)
    place.control.unlink()
    os.close(control)


@contextmanager
def started(order: Order, place: Place) -> Iterator[Tasks]:
    """Start the tasks; what runs at the end of the context is ended.

    Raises:
        JobError: the processor's container did not come.
    """
    end = time.monotonic() + START_SECONDS
    while not place.events.is_fifo():  # laid out while this container starts
        if time.monotonic() > end:
            raise JobError(f"there is no {place.events} after {START_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
    events = os.open(place.events, os.O_RDONLY | os.O_NONBLOCK)
    control = -1
    try:
        while control < 0:
            try:
                control = os.open(place.control, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads yet
                    raise
                if time.monotonic() > end:
                    raise JobError(
                        f"the processor's container did not start within {START_SECONDS:.0f} s; is its image there?"
                    ) from None
                time.sleep(_POLL_SECONDS)
        yield Tasks(order, control, events)
    finally:
        if control >= 0:
            os.close(control)
            _drain(events)
        os.close(events)


def _drain(events: int) -> None:
    """Wait until `run-tasks` has ended what ran: the work folder is nobody's then."""
    end = time.monotonic() + STOP_SECONDS
    watched = select.poll()
    watched.register(events, select.POLLIN)
    while (left := end - time.monotonic()) > 0 and (told := watched.poll(left * 1000)):
        if not told[0][1] & select.POLLIN or not os.read(events, 4096):
            return
