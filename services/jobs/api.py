"""Operators' endpoints of production jobs, under `/operations/v1/production/jobs`."""

from typing import Annotated, Any, Self
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy import Engine

from refsys.services.distribution.odata.errors import ODataError
from refsys.services.jobs import reading
from refsys.services.jobs.control import control
from refsys.services.jobs.errors import RefusedError
from refsys.services.jobs.submission import submit
from refsys.services.jobs.triggering import trigger
from refsys.services.operations.answers import (
    PAGE_LIMIT,
    Moment,
    Page,
    Size,
    conflict,
    engine_of,
    not_found,
    operator_of,
)
from refsys.services.production.drmaa import Action
from refsys.services.production.order import Order
from refsys.services.production.states import Outcome, State
from refsys.services.production.tables import Job

WORD = r"^[^\x00]*$"
Word = Annotated[str, Field(max_length=255, pattern=WORD)]
Asked = Annotated[str | None, Query(max_length=64, pattern=WORD)]
Database = Annotated[Engine, Depends(engine_of)]

router = APIRouter(prefix="/operations/v1/production/jobs")


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
    """What is to be done with which jobs."""

    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] = Field(min_length=1, max_length=PAGE_LIMIT)
    action: Action


def selection(  # noqa: PLR0917  # query options
    state: State | None = None,
    outcome: Outcome | None = None,
    mission: Asked = None,
    chain: Asked = None,
    timeliness: Asked = None,
    satellite: Asked = None,
    waits_for: Annotated[str | None, Query(alias="waitsFor", max_length=64, pattern=WORD)] = None,
    since: Moment | None = None,
) -> list[reading.Condition]:
    """Return the conditions of a query; `waitsFor` is a product type, `since` the last change."""
    given = {
        Job.state: state,
        Job.outcome: outcome,
        Job.mission: mission,
        Job.chain: chain,
        Job.timeliness: timeliness,
        Job.satellite: satellite,
    }
    conditions: list[reading.Condition] = [column == value for column, value in given.items() if value is not None]
    if waits_for is not None:
        conditions.append(Job.waits_for.contains([{"productTypes": [waits_for]}]))
    if since is not None:
        conditions.append(Job.changed >= since)
    return conditions


Selected = Annotated[list[reading.Condition], Depends(selection)]


@router.get("")
def jobs(database: Database, selected: Selected, page: Page = 0, size: Size = 100) -> list[dict[str, Any]]:
    """Return one page of jobs, those changed last first."""
    return reading.listed(database, selected, page, size)


@router.get("/count")
def count(database: Database, selected: Selected) -> dict[str, Any]:
    """Return how many jobs there are, by state and outcome."""
    return reading.counted(database, selected)


@router.get("/{identifier}")
def one(identifier: UUID, database: Database) -> dict[str, Any]:
    """Return one job with its order."""
    found = reading.found(database, identifier)
    if found is None:
        raise not_found(f"there is no job {identifier}")
    return found


@router.post("", status_code=201)
def add(asked: Submission, database: Database, request: Request) -> dict[str, Any]:
    """Submit an order, or have the job of a chain made for a product; it goes the way of all others."""
    try:
        if asked.order is None:
            made = trigger(database, asked.chain, asked.task_table, asked.product, operator_of(request))
        else:
            order = _order(asked.order)
            submit(database, order, operator_of(request))
            made = order.job_id
    except RefusedError as error:
        raise conflict(str(error)) from None
    return {"id": str(made)}


@router.post("/control")
def control_many(asked: Control, database: Database, request: Request) -> dict[str, Any]:
    """Suspend, resume, hold, release, terminate or restart jobs; the answer says of each what became of it."""
    results = []
    for each in dict.fromkeys(asked.ids):
        refused = {}
        try:
            control(database, each, asked.action, operator_of(request))
        except RefusedError as error:
            refused = {"reason": str(error)}
        results.append({"id": str(each), "done": not refused, **refused})
    return {"results": results}


def _order(given: dict[str, Any]) -> Order:
    try:
        return Order.model_validate({"jobId": uuid4(), **given, "attempt": 0})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:10])
        raise ODataError(400, "BadRequest", f"the order is wrong: {problems}") from None
