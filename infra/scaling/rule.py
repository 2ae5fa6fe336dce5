"""How many nodes production jobs need: a rule over what runs, what waits by urgency, and what was needed lately.

It grows at once, to what is needed now. It shrinks to the most that was needed in the last minutes, as Kubernetes'
own autoscaler of pods does, and reckons for that with nodes that are not quite full, so that it does not swing.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SHRINK_SECONDS = 600.0
"""A smaller number has to be enough for so long."""
COOL_DOWN_SECONDS = 60.0
"""After a change the number stays for so long: jobs have to find their new nodes first."""
SHRINK_FILL = 0.8
"""How full the nodes that stay may be."""


class Urgency(StrEnum):
    """Classes of jobs by their timeliness (docs/execution.md)."""

    URGENT = "urgent"
    STANDARD = "standard"
    LOW = "low"


SHARES = {Urgency.URGENT: 1.0, Urgency.STANDARD: 0.5, Urgency.LOW: 0.25}
"""The part of the waiting jobs of a class that there shall be room for at once."""


@dataclass(frozen=True)
class Load:
    """What jobs ask for together."""

    jobs: float = 0.0
    cpus: float = 0.0
    memory_mib: float = 0.0

    def __add__(self, other: "Load") -> "Load":
        """Both together."""
        return Load(self.jobs + other.jobs, self.cpus + other.cpus, self.memory_mib + other.memory_mib)

    def part(self, share: float) -> "Load":
        """A part of it."""
        return Load(self.jobs * share, self.cpus * share, self.memory_mib * share)

    def within(self, limit: "Load") -> "Load":
        """As much of it as a limit lets be at a time."""
        return Load(min(self.jobs, limit.jobs), min(self.cpus, limit.cpus), min(self.memory_mib, limit.memory_mib))


@dataclass(frozen=True)
class Queue:
    """The jobs of a mission."""

    running: Load = Load()
    waiting: Mapping[Urgency, Load] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What there is to do, and with what."""

    queues: Mapping[str, Queue]
    """By mission."""
    node: Load | None = None
    """What a node has for jobs; None where there is no node to look at."""


@dataclass(frozen=True)
class Bounds:
    """How many nodes there may be, and what the jobs of each mission may have at a time."""

    least: int
    most: int
    quotas: Mapping[str, Load]


@dataclass(frozen=True)
class Memory:
    """What was needed lately, as pairs of a time (s) and a number, the oldest first; and when the number changed."""

    needed: tuple[tuple[float, int], ...] = ()
    changed: float = 0.0


@dataclass(frozen=True)
class Decision:
    """How many nodes there shall be, why, and what to remember."""

    nodes: int
    why: str
    memory: Memory


def decide(seen: Seen, bounds: Bounds, nodes: int, memory: Memory, now: float) -> Decision:
    """Say how many nodes there shall be; there are `nodes` now, and it is `now` (s)."""
    to_grow = _bounded(needed(seen, bounds.quotas), bounds)
    to_keep = _bounded(needed(seen, bounds.quotas, SHRINK_FILL), bounds)
    lately = _lately((*memory.needed, (now, to_keep)), now)
    least = max(number for _, number in lately)
    told = told_of(seen)
    if now - memory.changed < COOL_DOWN_SECONDS:
        wanted, why = nodes, f"{told}; changed a moment ago"
    elif to_grow > nodes:
        wanted, why = to_grow, f"{told}; {to_grow} needed"
    elif least < nodes and lately[0][0] <= now - SHRINK_SECONDS:
        wanted, why = least, f"{told}; {least} were enough for {SHRINK_SECONDS / 60:.0f} min"
    else:
        wanted, why = nodes, told
    return Decision(wanted, why, Memory(lately, memory.changed))


def changed(now: float) -> Memory:
    """What is remembered once the number has changed."""
    return Memory((), now)


def needed(seen: Seen, quotas: Mapping[str, Load], fill: float = 1.0) -> int:
    """The number of nodes that hold what runs and what shall not wait, each filled up to a part."""
    total = Load()
    for mission, queue in seen.queues.items():
        load = _sum([queue.running, *(load.part(SHARES[urgency]) for urgency, load in queue.waiting.items())])
        total += load.within(quotas[mission]) if mission in quotas else load
    if not total.jobs:
        return 0
    if seen.node is None:
        return 1
    share = max(total.cpus / (seen.node.cpus * fill), total.memory_mib / (seen.node.memory_mib * fill))
    return max(1, math.ceil(share - 1e-9))


def told_of(seen: Seen) -> str:
    """What runs and waits, for people."""
    running = _sum(queue.running for queue in seen.queues.values()).jobs
    waiting = {
        urgency: _sum(queue.waiting.get(urgency, Load()) for queue in seen.queues.values()).jobs for urgency in Urgency
    }
    parts = [f"{number:.0f} {urgency}" for urgency, number in waiting.items() if number]
    return f"{running:.0f} jobs run, " + (f"{', '.join(parts)} wait" if parts else "none waits")


def _sum(loads: Iterable[Load]) -> Load:
    total = Load()
    for load in loads:
        total += load
    return total


def _bounded(number: int, bounds: Bounds) -> int:
    return min(max(number, bounds.least), bounds.most)


def _lately(needed_: tuple[tuple[float, int], ...], now: float) -> tuple[tuple[float, int], ...]:
    """What is still looked at: the last minutes, and what held when they began."""
    begin = now - SHRINK_SECONDS
    older = [each for each in needed_ if each[0] <= begin]
    return (*older[-1:], *(each for each in needed_ if each[0] > begin))
