"""The state of an order, as its jobs have it; nothing of it is written down."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, func, literal, select

from refsys.services.execution.tables import Execution
from refsys.services.ondemand.tables import OrderRequest
from refsys.services.production.states import Outcome, State
from refsys.services.production.tables import Job

GOOD = (Outcome.OK, Outcome.WARNING)
_ENDED = Job.state == State.TERMINATED
_GOOD = Job.outcome.in_(GOOD)


class Status(StrEnum):
    """States of a job in OGC API - Processes."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    SUCCESSFUL = "successful"
    FAILED = "failed"
    DISMISSED = "dismissed"


OPEN = (Status.ACCEPTED, Status.RUNNING)


@dataclass(frozen=True)
class Standing:
    """How far an order is."""

    status: Status
    progress: int
    message: str
    created: datetime
    updated: datetime
    started: datetime | None
    finished: datetime | None


def standings(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Select orders with what is counted of their jobs; those whose jobs are forgotten are not there any more."""
    return (
        select(
            *(OrderRequest.id, OrderRequest.owner, OrderRequest.process, OrderRequest.inputs, OrderRequest.told),
            *(OrderRequest.success, OrderRequest.in_progress, OrderRequest.failed),
            *(OrderRequest.created, OrderRequest.dismissed),
            func.count().label("jobs"),
            func.count().filter(_ENDED).label("ended"),
            func.count().filter(_ENDED, _GOOD).label("good"),
            func.count().filter(_ENDED, Job.outcome == Outcome.CANCELLED).label("cancelled"),
            func.min(Execution.started).label("started"),
            func.max(Job.changed).label("updated"),
            # One for all: of those that failed, else of those that wait ("waits for …" comes last).
            func.min(Job.reason).filter(_ENDED, ~_GOOD).label("trouble"),
            func.max(Job.reason).filter(~_ENDED).label("doing"),
        )
        .join_from(OrderRequest, Job, Job.request_id == OrderRequest.id)
        .join(Execution, Execution.job_id == Job.id, isouter=True)
        .where(*conditions)
        .group_by(OrderRequest.id)
    )


def is_open() -> ColumnElement[bool]:
    """The orders that a job has not ended of."""
    return select(literal(1)).where(Job.request_id == OrderRequest.id, ~_ENDED).correlate(OrderRequest).exists()


def standing(row: RowMapping) -> Standing:
    """How far an order is, by what is counted of its jobs."""
    status = _status(row)
    finished = None if status in OPEN else row["updated"]
    progress = 100 if status is Status.SUCCESSFUL else row["ended"] * 100 // row["jobs"]
    return Standing(status, progress, _message(status, row), row["created"], row["updated"], row["started"], finished)


def _status(row: RowMapping) -> Status:
    if row["ended"] == row["jobs"]:
        if row["good"] == row["jobs"]:
            return Status.SUCCESSFUL
        stopped = row["dismissed"] is not None or row["cancelled"] == row["jobs"]
        return Status.DISMISSED if stopped else Status.FAILED
    if row["dismissed"] is not None:
        return Status.DISMISSED
    return Status.RUNNING if row["started"] or row["ended"] else Status.ACCEPTED


def _message(status: Status, row: RowMapping) -> str:
    jobs = f"{row['ended']} of {row['jobs']} jobs ended"
    match status:
        case Status.SUCCESSFUL:
            return f"all of {row['jobs']} jobs ended well"
        case Status.FAILED:
            return f"{row['jobs'] - row['good']} of {row['jobs']} jobs failed: {row['trouble']}"
        case Status.DISMISSED:
            return f"dismissed, {row['good']} of {row['jobs']} jobs had ended well"
    return f"{jobs}; {row['doing']}"
