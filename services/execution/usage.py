"""What a job's tasks used, and of what machine."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from refsys.services.common.messages import Model

MICROSECONDS = 1e6
NUMBERS = 9


class Usage(Model):
    """Of a task, with all processes that it began. Octets read and written are those of system calls, cached or not."""

    seconds: float
    user_seconds: float
    system_seconds: float
    largest_process_octets: int
    memory_octets: int
    """Most memory of the container so far, with its files in memory; 0 where the kernel doesn't tell."""
    read_octets: int
    written_octets: int
    storage_read_octets: int
    storage_written_octets: int

    @classmethod
    def told(cls, words: Sequence[str]) -> Self | None:
        """Read it from the words of `run-tasks`; None if that are others."""
        if len(words) != NUMBERS or not all(word.isdigit() for word in words):
            return None
        numbers = [int(word) for word in words]
        times = [number / MICROSECONDS for number in numbers[:3]]
        return cls.model_validate(dict(zip(cls.model_fields, [*times, *numbers[3:]], strict=True)))


class Machine(Model):
    """The machine of a job's node: figures of others are not comparable."""

    processor: str
    cores: int
    kernel: str


class Measures(Model):
    """What a job's tasks used; of a bench run also how its outputs compare (`refsys.services.bench.found`)."""

    machine: Machine
    tasks: dict[str, Usage] = Field(default_factory=dict)
    input_octets: int = 0
    output_octets: int = 0
    comparison: dict[str, Any] | None = None


def machine() -> Machine:
    """This one."""
    processor = ""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Model"}:
                processor = value.strip()
                break
    except OSError:
        pass  # it stays unknown
    known = os.uname()
    return Machine(processor=processor or known.machine, cores=os.cpu_count() or 1, kernel=known.release)
