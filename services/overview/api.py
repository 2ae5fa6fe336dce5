"""The overview for operators, under `/operations/v1`: as a page, and as JSON; costs; runbooks."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import HTMLResponse

from refsys.services.operations.answers import not_found
from refsys.services.overview import page
from refsys.services.overview.overview import Overview
from refsys.services.overview.view import costs, document

router = APIRouter(prefix="/operations/v1")

Area = Annotated[str, Path(max_length=32, pattern=r"^[a-z]+$")]
Name = Annotated[str, Path(max_length=64, pattern=r"^[a-z0-9-]+$")]


def overview_of(request: Request) -> Overview:
    """Return the overview of the application."""
    found: Overview = request.app.state.overview
    return found


Known = Annotated[Overview, Depends(overview_of)]


@router.get("/overview")
def overview(known: Known, request: Request) -> dict[str, Any]:
    """Return whether the environment is well, what fires, key figures of the last day, costs, and what is not known."""
    return document(known.now(), _environment(request))


@router.get("/portal", response_class=HTMLResponse)
def portal(known: Known, request: Request) -> HTMLResponse:
    """Return the overview as a page."""
    return HTMLResponse(page.portal(document(known.now(), _environment(request))), headers=page.HEADERS)


@router.get("/costs")
def costs_now(known: Known) -> dict[str, Any]:
    """Return costs in EUR a day and a month as they are now, by what is paid for and by chain."""
    found = known.now()
    told = costs(found.by_label("costByKind"), found.by_label("costByChain"))
    return told or {"currency": "EUR", "day": None, "month": None, "byKind": [], "byChain": []}


@router.get("/runbooks/{area}/{name}", response_class=HTMLResponse)
def runbook(known: Known, area: Area, name: Name) -> HTMLResponse:
    """Return a runbook as a page: what an alert means, and what to do."""
    text = known.runbook(area, name)
    if text is None:
        raise not_found(f"there is no runbook {area}/{name}")
    return HTMLResponse(page.runbook(text), headers=page.HEADERS)


def _environment(request: Request) -> str:
    return (request.url.hostname or "").removeprefix("operations.")
