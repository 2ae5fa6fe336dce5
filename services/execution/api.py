"""Operators' endpoints of production jobs, under `/operations/v1/jobs`, with the states of DRMAA."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy import Engine, RowMapping

from refsys.services.common.messages import iso
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.execution import submission
from refsys.services.execution.submission import RefusedError, UnknownError, Wanted
from refsys.services.execution.tables import Phase
from refsys.services.execution.triggering import trigger
from refsys.services.operations.answers import Page, Size, conflict, engine_of, not_found, operator_of
from refsys.services.production.order import Order
from refsys.services.production.states import Outcome, State

WORD = r"^[^\x00]*$"
Word = Annotated[str, Field(max_length=255, pattern=WORD)]

router = APIRouter(prefix="/operations/v1/jobs")
Database = Annotated[Engine, Depends(engine_of)]


class JobState(StrEnum):
    """States of DRMAA (GFD.22 §4.1) that a job can be in."""

    QUEUED_ACTIVE = "queued_active"
    USER_ON_HOLD = "user_on_hold"
    RUNNING = "running"
    USER_SUSPENDED = "user_suspended"
    DONE = "done"
    FAILED = "failed"


class Action(StrEnum):
    """Control actions of DRMAA: what runs is suspended, what waits is held."""

    SUSPEND = "suspend"
    RESUME = "resume"
    HOLD = "hold"
    RELEASE = "release"
    TERMINATE = "terminate"


class Submission(BaseModel):
    """An order (without `jobId` it gets one); or a task table of a chain, and the product that triggers it."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    order: dict[str, Any] | None = None
    chain: Word = ""
    task_table: Word = ""
    product: Word = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        names = (self.chain, self.task_table, self.product)
        if (self.order is None) != all(names) or (self.order is not None and any(names)):
            raise ValueError("give either order, or all of chain, taskTable and product")
        return self


class Control(BaseModel):
    """What is to be done with a job."""

    model_config = ConfigDict(extra="forbid")

    action: Action


def state_of(row: Mapping[str, Any]) -> JobState:
    """Return the state of a job in the terms of DRMAA."""
    if row["state"] == State.TERMINATED:
        return JobState.DONE if row["outcome"] in {Outcome.OK, Outcome.WARNING} else JobState.FAILED
    if row["hold"]:
        return JobState.USER_SUSPENDED if row["started"] else JobState.USER_ON_HOLD
    if row["state"] == State.GENERATING and row["phase"] == Phase.RUNNING:
        return JobState.RUNNING
    return JobState.QUEUED_ACTIVE


@router.post("", status_code=201)
def submit(asked: Submission, database: Database, request: Request) -> dict[str, Any]:
    """Submit an order, or have the job of a chain made for a product; it goes the way of all others."""
    if asked.order is None:
        try:
            made = trigger(database, asked.chain, asked.task_table, asked.product, operator_of(request))
        except RefusedError as error:
            raise conflict(str(error)) from None
        return {"jobId": str(made)}
    try:
        order = Order.model_validate({"jobId": uuid4(), **asked.order, "attempt": 0})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:10])
        raise ODataError(400, "BadRequest", f"the order is wrong: {problems}") from None
    try:
        submission.submit(database, order, operator_of(request))
    except RefusedError as error:
        raise conflict(str(error)) from None
    return {"jobId": str(order.job_id)}


@router.get("")
def jobs(  # noqa: PLR0917  # query options
    database: Database,
    state: Annotated[list[State] | None, Query()] = None,
    mission: Annotated[str, Query(max_length=8, pattern=WORD)] = "",
    chain: Annotated[str, Query(max_length=64, pattern=WORD)] = "",
    page: Page = 0,
    size: Size = 100,
) -> list[dict[str, Any]]:
    """Return one page of jobs, what changed last first."""
    wanted = Wanted([str(each) for each in state or ()], mission, chain)
    return [_document(row) for row in submission.search(database, wanted, page, size)]


@router.get("/{job}")
def job(job: UUID, database: Database) -> dict[str, Any]:
    """Return a job: where it is and why, what it waits for, its order."""
    try:
        return _document(submission.find(database, job))
    except UnknownError as error:
        raise not_found(str(error)) from None


@router.post("/{job}/control")
def control(job: UUID, asked: Control, database: Database, request: Request) -> dict[str, Any]:
    """Suspend, resume, hold, release or terminate a job; one that is resumed begins anew."""
    try:
        if asked.action is Action.TERMINATE:
            submission.end(database, job, operator_of(request))
        else:
            submission.hold(database, job, held=asked.action in {Action.SUSPEND, Action.HOLD})
        return _document(submission.find(database, job))
    except RefusedError as error:
        raise conflict(str(error)) from None
    except UnknownError as error:
        raise not_found(str(error)) from None


def _document(found: RowMapping) -> dict[str, Any]:
    row = {str(name): value for name, value in found.items()}
    given = {name: value for name, value in row.items() if name not in {"id", "hold"}}
    shown = {to_camel(name): iso(value) if hasattr(value, "isoformat") else value for name, value in given.items()}
    return {"jobId": str(row["id"]), "jobState": state_of(row), **shown}
