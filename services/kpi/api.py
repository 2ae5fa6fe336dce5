"""Operators' endpoints of the KPIs, under `/operations/v1/kpi`."""

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy import Engine

from refsys.services.common.messages import utc_now
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.kpi import invalidations
from refsys.services.kpi.figures import Period, figures, listed
from refsys.services.kpi.tables import E2E, PDGS
from refsys.services.operations.answers import PAGE_LIMIT, Moment, Page, Size, engine_of, not_found, operator_of, shown

RECENT = timedelta(days=1)
FIRST, LAST = date(2000, 1, 1), date(2099, 12, 31)
WORD = r"^[^\x00]*$"

router = APIRouter(prefix="/operations/v1/kpi")
Database = Annotated[Engine, Depends(engine_of)]
Text = Annotated[str, Field(max_length=1000, pattern=WORD)]
Number = Annotated[int, Field(ge=1, lt=2**63)]
Mission = Annotated[str, Query(max_length=8, pattern=WORD)]


class Asked(BaseModel):
    """An invalidation: of products that are late (`timeliness`) and of what is missing (`completeness`)."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    responsibility: Literal[PDGS, E2E]  # type: ignore[valid-type]
    root_cause: Annotated[Text, Field(min_length=1)]
    anomaly_identifier: Text = ""
    label: Text = ""
    timeliness: list[UUID] = Field(default_factory=list, max_length=PAGE_LIMIT)
    completeness: list[UUID] = Field(default_factory=list, max_length=PAGE_LIMIT)

    @model_validator(mode="after")
    def _not_empty(self) -> "Asked":
        if not (self.timeliness or self.completeness):
            raise ValueError("neither timeliness nor completeness names anything that the invalidation is for")
        return self


def period(since: Moment | None = None, until: Moment | None = None) -> Period:
    """Return the time of a query; without one, the last day."""
    end = until or utc_now()
    try:
        return Period(since or end - RECENT, end)
    except OverflowError:
        raise ODataError(400, "BadRequest", f"until {end.isoformat()} is too early") from None


Selected = Annotated[Period, Depends(period)]


@router.get("/day")
def day(database: Database, day: Annotated[date | None, Query(ge=FIRST, le=LAST)] = None) -> dict[str, Any]:
    """Return timeliness and completeness of a day (UTC), today unless told."""
    chosen = day or utc_now().date()
    return {"day": chosen.isoformat(), **_figures(database, Period.of_day(chosen))}


@router.get("/month")
def month(
    database: Database, month: Annotated[str | None, Query(pattern=r"^20\d\d-(0[1-9]|1[0-2])$")] = None
) -> dict[str, Any]:
    """Return timeliness and completeness of a month by day, this month unless told."""
    chosen = month or f"{utc_now():%Y-%m}"
    year, number = map(int, re.split("-", chosen))
    return {"month": chosen, **_figures(database, Period.of_month(year, number))}


@router.get("/missing")
def missing(
    database: Database, selected: Selected, mission: Mission = "", page: Page = 0, size: Size = 100
) -> list[dict[str, Any]]:
    """Return one page of what should have come and did not: files of stations, and products."""
    return _listed(database, "missing", selected, mission, page, size)


@router.get("/late")
def late(
    database: Database, selected: Selected, mission: Mission = "", page: Page = 0, size: Size = 100
) -> list[dict[str, Any]]:
    """Return one page of products that were published later than they may be."""
    return _listed(database, "late", selected, mission, page, size)


@router.get("/duplicates")
def duplicates(
    database: Database, selected: Selected, mission: Mission = "", page: Page = 0, size: Size = 100
) -> list[dict[str, Any]]:
    """Return one page of products that were made again, with the first of each."""
    return _listed(database, "duplicates", selected, mission, page, size)


@router.get("/invalidations")
def all_invalidations(database: Database, page: Page = 0, size: Size = 100) -> list[dict[str, Any]]:
    """Return one page of invalidations."""
    return [_document(row) for row in invalidations.search(database, page, size)]


@router.post("/invalidations", status_code=201)
def invalidate(asked: Asked, database: Database, request: Request) -> dict[str, Any]:
    """Say why products are late or missing, and who is responsible: PDGS, or E2E, which excuses the ground segment."""
    given = invalidations.Invalidation(**asked.model_dump())
    try:
        return {"id": invalidations.add(database, given, operator_of(request))}
    except invalidations.UnknownError as error:
        raise not_found(str(error)) from error


@router.delete("/invalidations/{number}", status_code=204)
def take_back(number: Number, database: Database) -> Response:
    """Take an invalidation back."""
    try:
        invalidations.remove(database, number)
    except invalidations.UnknownError as error:
        raise not_found(str(error)) from error
    return Response(status_code=204)


def _figures(database: Engine, selected: Period) -> dict[str, Any]:
    with database.connect() as connection:
        found = figures(connection, selected, utc_now())
    return {name: _document(value) if name == "total" else [*map(_document, value)] for name, value in found.items()}


def _listed(  # noqa: PLR0917  # query options
    database: Engine, what: str, selected: Period, mission: str, page: int, size: int
) -> list[dict[str, Any]]:
    with database.connect() as connection:
        rows = listed(connection, what, selected, utc_now(), mission, page, size)
        return [_document(dict(row)) for row in rows]


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    return {to_camel(name): shown(value) if isinstance(value, datetime) else value for name, value in row.items()}
