"""Results of a bench: every run with what it used and how its outputs compare; kept as JSON."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from pydantic import Field

from refsys.services.bench.found import Comparison
from refsys.services.common.messages import Model, Timestamp
from refsys.services.execution.usage import Measures

FORMAT = 1
FIGURES = {"seconds": "time", "cpu": "processor time", "memory": "memory"}
"""What is judged, and its name."""

Group = tuple[float, str]
"""Cores and machine: figures of others are not comparable."""


class Run(Model):
    """One run.

    `memory` is that of its largest process, `container_memory` that of all with the files that the kernel kept (0: not
    told).
    """

    cores: float
    repetition: int
    outcome: str
    reason: str
    job: str = ""
    node: str = ""
    machine: str = ""
    seconds: float = 0
    user_seconds: float = 0
    system_seconds: float = 0
    memory: int = 0
    container_memory: int = 0
    read: int = 0
    written: int = 0
    storage_read: int = 0
    storage_written: int = 0
    input_octets: int = 0
    output_octets: int = 0
    comparison: Comparison | None = None

    @property
    def cpu(self) -> float:
        """Processor time of all its processes."""
        return self.user_seconds + self.system_seconds

    @property
    def throughput(self) -> float:
        """Octets of inputs a second."""
        return self.input_octets / self.seconds if self.seconds else 0.0

    @property
    def group(self) -> Group:
        """What it may be compared with."""
        return self.cores, self.machine


class Results(Model):
    """All runs of a case."""

    format: int = FORMAT
    case: str
    processor: str
    image: str
    version: str
    environment: str
    """`here` where it ran on the machine of who asked."""
    data: str
    """Digest of what the inputs are."""
    repetitions: int
    outcomes: list[str]
    worse: dict[str, float]
    started: Timestamp
    ended: Timestamp
    runs: list[Run] = Field(default_factory=list)

    def good(self) -> list[Run]:
        """The runs whose figures count."""
        return [run for run in self.runs if run.outcome in self.outcomes and run.seconds]

    def groups(self) -> dict[Group, list[Run]]:
        """Good runs by what they may be compared with."""
        found: dict[Group, list[Run]] = {}
        for run in sorted(self.good(), key=lambda run: (run.machine, run.cores)):
            found.setdefault(run.group, []).append(run)
        return found

    def comparable(self, other: "Results") -> bool:
        """Whether the figures of another result may be compared with these."""
        return (self.case, self.processor, self.data) == (other.case, other.processor, other.data)


def run_of(cores: float, repetition: int, told: Mapping[str, Any], measures: Measures | None) -> Run:
    """A run by what was told of it, and what it used; tasks are one after the other."""
    run = Run.model_validate({"cores": cores, "repetition": repetition, **told})
    if measures is None:
        return run
    tasks = measures.tasks.values()
    machine = measures.machine
    used = {
        "machine": f"{machine.processor}, {machine.cores} cores",
        "seconds": sum(each.seconds for each in tasks),
        "user_seconds": sum(each.user_seconds for each in tasks),
        "system_seconds": sum(each.system_seconds for each in tasks),
        "memory": max((each.largest_process_octets for each in tasks), default=0),
        "container_memory": max((each.memory_octets for each in tasks), default=0),
        "read": sum(each.read_octets for each in tasks),
        "written": sum(each.written_octets for each in tasks),
        "storage_read": sum(each.storage_read_octets for each in tasks),
        "storage_written": sum(each.storage_written_octets for each in tasks),
        "input_octets": measures.input_octets,
        "output_octets": measures.output_octets,
        "comparison": Comparison.model_validate(measures.comparison) if measures.comparison else None,
    }
    return run.model_copy(update=used)


def on(cores: float) -> str:
    """Cores in words."""
    return f"{cores:g} core{'s' if cores != 1 else ''}"


def figure(runs: Iterable[Run], name: str) -> list[float]:
    """A figure of runs."""
    return [float(getattr(run, name)) for run in runs]


def middle(runs: Iterable[Run], name: str) -> float:
    """The median of a figure."""
    return median(figure(runs, name))
