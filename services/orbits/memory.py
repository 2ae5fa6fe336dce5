"""How full a satellite's memory is: it fills while the satellite records, and empties while it sends."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

MEGABITS = 1000.0  # of a Gbit


@dataclass(frozen=True)
class Flow:
    """Mbit/s into the memory (negative: out of it) from `start` to `stop`, in seconds since 1970."""

    start: float
    stop: float
    rate: float


@dataclass(frozen=True)
class Level:
    """How full it is at a time, in Gbit, and how much could not be recorded until then because it was full."""

    time: float
    content: float
    lost: float


def levels(flows: Iterable[Flow], start: float, stop: float, memory: float, content: float = 0.0) -> list[Level]:
    """Return how full a memory of so many Gbit is, at each time between `start` and `stop` at which a flow changes.

    It starts with `content`. Between the times the change is even, but for the moment from which it is full or empty.
    """
    flows = [flow for flow in flows if flow.stop > start and flow.start < stop]
    times = sorted({start, stop, *(min(max(each, start), stop) for flow in flows for each in (flow.start, flow.stop))})
    found = [Level(start, content, 0.0)]
    lost = 0.0
    for begin, end in pairwise(times):
        rate = sum(flow.rate for flow in flows if flow.start <= begin < flow.stop)
        wanted = content + rate * (end - begin) / MEGABITS
        lost += max(wanted - memory, 0.0)
        content = min(max(wanted, 0.0), memory)
        found.append(Level(end, content, lost))
    return found


def content_at(found: Sequence[Level], time: float) -> float:
    """Return how full the memory is at one of the times of its levels, or at the last before, in Gbit."""
    return next((level.content for level in reversed(found) if level.time <= time), found[0].content)
