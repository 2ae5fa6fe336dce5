"""States of a production job (docs/preparation.md)."""

from enum import StrEnum


class State(StrEnum):
    """Where a job is; it only goes forward, and back to WAITING by a retry."""

    WAITING = "WAITING"
    DISPATCHING = "DISPATCHING"
    GENERATING = "GENERATING"
    TERMINATED = "TERMINATED"


class Generation(StrEnum):
    """How far the making of its order is."""

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


class Cause(StrEnum):
    """Why an attempt was not the last one: only what is not the job's fault is tried again without being asked to."""

    PROCESSOR = "PROCESSOR"
    CLUSTER = "CLUSTER"
    URGENT = "URGENT"
    OPERATOR = "OPERATOR"


PRIORITIES = {"PT": 100, "NRT": 100, "STC": 500, "FAST24": 500}
LOWEST_PRIORITY = 900


def priority_of(timeliness: str) -> int:
    """How soon a job of a class of timeliness is done: the lower, the sooner."""
    return PRIORITIES.get(timeliness, LOWEST_PRIORITY)
