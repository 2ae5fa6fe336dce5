"""Lanes of a time line: what lies from a start to a stop, as shares of the time that is shown.

A lane is an SVG element in which everything is placed by percentages: bars grow with the page, text does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR_STEPS = (1, 2, 3, 4, 6, 12, 24)
TICKS_MAXIMUM = 12
SMALLEST = 0.15  # percent: what is shorter can't be seen


@dataclass(frozen=True)
class Bar:
    """A bar of a lane: its place and width in percent, what kind it is (its CSS class), and what it tells."""

    x: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True)
class Lane:
    """A lane: its name, and its bars."""

    name: str
    bars: Sequence[Bar]
    head: bool = False


@dataclass(frozen=True)
class Tick:
    """A mark of the axis, at a place in percent."""

    x: float
    text: str


@dataclass(frozen=True)
class Span:
    """The time that is shown."""

    start: datetime
    stop: datetime

    def place(self, moment: datetime) -> float:
        """Where a time is, in percent; times before and after are at the ends."""
        share = (moment - self.start) / (self.stop - self.start)
        return round(100 * min(max(share, 0.0), 1.0), 3)

    def bar(self, start: datetime, stop: datetime, kind: str, title: str) -> Bar:
        """Return a bar."""
        x = self.place(start)
        return Bar(x, max(round(self.place(stop) - x, 3), SMALLEST), kind, title)

    def ticks(self) -> list[Tick]:
        """Return marks at full hours, or days."""
        hours = (self.stop - self.start) / timedelta(hours=1)
        step = next((each for each in HOUR_STEPS if hours / each <= TICKS_MAXIMUM), HOUR_STEPS[-1])
        midnight = self.start.replace(hour=0, minute=0, second=0, microsecond=0)
        marks = (midnight + timedelta(hours=step) * number for number in range(int((hours + 48) / step) + 1))
        return [
            Tick(self.place(mark), f"{mark:%d %b}" if mark.hour == 0 else f"{mark:%H:%M}")
            for mark in marks
            if self.start <= mark < self.stop
        ]
