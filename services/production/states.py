"""States of a production job and of its making (reference-system.md §2.2)."""

from enum import StrEnum


class State(StrEnum):
    """Where a job is."""

    WAITING = "WAITING"
    DISPATCHING = "DISPATCHING"
    GENERATING = "GENERATING"
    TERMINATED = "TERMINATED"


class Generation(StrEnum):
    """How far its order is."""

    INITIAL = "INITIAL"
    PRIMARY_CHECK = "PRIMARY_CHECK"
    READY = "READY"
    SENT = "SENT"
    END = "END"


class Outcome(StrEnum):
    """How a job ended."""

    OK = "OK"
    WARNING = "WARNING"
    NOK = "NOK"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"
