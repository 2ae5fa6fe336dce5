"""What the operators' endpoints share: paging, times, errors."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query, Request
from pydantic import AfterValidator, Field
from sqlalchemy import Engine

from refsys.services.common.messages import iso
from refsys.services.distribution.odata.errors import ODataError

PAGE_LIMIT = 1000

Page = Annotated[int, Query(ge=0, le=1_000_000)]
Size = Annotated[int, Query(ge=1, le=PAGE_LIMIT)]
ProductName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
"""A name in a body; no text of PostgreSQL has a NUL character."""


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_aware)]
"""A time of ISO 8601; without an offset it is UTC."""


def engine_of(request: Request) -> Engine:
    """Return the database of the application."""
    engine: Engine = request.app.state.engine
    return engine


def operator_of(request: Request) -> str:
    """Return the name of the operator whose token was verified."""
    return str(request.state.user)


def shown(moment: datetime | None) -> str | None:
    """Return a time as it is shown, UTC."""
    return iso(moment) if moment else None


def not_found(message: str) -> ODataError:
    """Return a 404."""
    return ODataError(404, "NotFound", message)


def conflict(message: str) -> ODataError:
    """Return a 409: the thing is there, but does not allow what was asked."""
    return ODataError(409, "Conflict", message)
