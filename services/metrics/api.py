"""REST of the operators over metrics, under `/operations/v1`."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from refsys.services.common.messages import utc_now
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.metrics.prometheus import Document, Prometheus, QueryError
from refsys.services.operations.answers import Moment

RECENT = timedelta(hours=1)
EXPRESSION_LENGTH = 4096
DAY_SECONDS = 86_400

router = APIRouter(prefix="/operations/v1/metrics")

Expression = Annotated[str, Query(min_length=1, max_length=EXPRESSION_LENGTH, pattern=r"^[^\x00]*$")]
Step = Annotated[int, Query(ge=1, le=DAY_SECONDS)]


def prometheus_of(request: Request) -> Prometheus:
    """Return the Prometheus of the application."""
    found: Prometheus = request.app.state.prometheus
    return found


Asked = Annotated[Prometheus, Depends(prometheus_of)]


@router.get("/query")
def query(prometheus: Asked, query: Expression, time: Moment | None = None) -> Document:
    """Return what a PromQL expression gives now, or at a time: Prometheus' `resultType` and `result`."""
    try:
        return prometheus.query(query, time)
    except QueryError as error:
        raise _wrong(error) from error


@router.get("/query_range")
def query_range(
    prometheus: Asked, query: Expression, since: Moment | None = None, until: Moment | None = None, step: Step = 60
) -> Document:
    """Return what a PromQL expression gives every `step` seconds; without times, of the last hour."""
    end = until or utc_now()
    try:
        return prometheus.query_range(query, since or end - RECENT, end, step)
    except QueryError as error:
        raise _wrong(error) from error


@router.get("/targets")
def targets(prometheus: Asked) -> Document:
    """Return what is asked for metrics, by its labels, those that did not answer first."""
    value = [
        {
            "labels": each["labels"],
            "health": each["health"],
            "error": each["lastError"],
            "asked": each["lastScrape"],
            "seconds": each["lastScrapeDuration"],
        }
        for each in prometheus.targets()
    ]
    value.sort(key=lambda each: (each["health"] == "up", each["labels"]["job"], each["labels"]["instance"]))
    return {"count": len(value), "value": value}


def _wrong(error: QueryError) -> ODataError:
    return ODataError(400, "BadRequest", str(error))
