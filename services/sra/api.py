"""The page, its two forms, and the same as JSON under `/api/v1`: viewers see, planners make plans and publish them."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from refsys.services.common.hosted import Visitor, having
from refsys.services.common.messages import utc_now
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.sra import page
from refsys.services.sra.document import document, told
from refsys.services.sra.plans import HOURS_MAXIMUM, REASON_CHARACTERS, Plans

VIEWER, PLANNER = "viewer", "planner"
FORM_BYTES = 16 * 1024

router = APIRouter()

Viewer = Annotated[Visitor, Depends(having(VIEWER, PLANNER))]
Planner = Annotated[Visitor, Depends(having(PLANNER))]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
FileName = Annotated[str, Path(max_length=255, pattern=r"^[A-Za-z0-9_.]+$")]


class Wanted(BaseModel):
    """A plan to be made: from when, for how many hours, and why."""

    model_config = ConfigDict(extra="forbid")

    start: AwareDatetime
    hours: int = Field(ge=1, le=HOURS_MAXIMUM)
    reason: str = Field(max_length=REASON_CHARACTERS)


class Why(BaseModel):
    """Why a plan is published."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=REASON_CHARACTERS)


def plans_of(request: Request) -> Plans:
    """Return the plans of the application."""
    found: Plans = request.app.state.plans
    return found


Kept = Annotated[Plans, Depends(plans_of)]


@router.get("/", response_class=HTMLResponse)
def view(viewer: Viewer, plans: Kept, version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None) -> HTMLResponse:
    """Return the page of a plan, of the newest unless another is asked for."""
    versions = [told(each) for each in plans.versions()]
    number = version or (versions[0]["version"] if versions else None)
    plan = document(plans.plan(number), plans.files(number)) if number else None
    known = plans.known.newest()
    html = page.page(
        plan,
        versions,
        stations=list(plans.stations.values()),
        user=viewer.name,
        planner=PLANNER in viewer.roles,
        known=known,
        now=utc_now(),
    )
    return HTMLResponse(html, headers=page.HEADERS)


@router.post("/plans", response_class=RedirectResponse)
async def make_by_form(planner: Planner, plans: Kept, request: Request) -> RedirectResponse:
    """Make a plan as the page's form asks for, and go to it."""
    form = await _form(request)
    start, hours = _start(form.get("start", "")), _hours(form.get("hours", ""))
    version = await run_in_threadpool(plans.make, start, hours, planner.name, form.get("reason", ""))
    return RedirectResponse(f"./?version={version}", 303)


@router.post("/plans/{version}/publish", response_class=RedirectResponse)
async def publish_by_form(version: Version, planner: Planner, plans: Kept, request: Request) -> RedirectResponse:
    """Publish a plan as the page's form asks for, and go back to it."""
    form = await _form(request)
    await run_in_threadpool(plans.publish, version, planner.name, form.get("reason", ""))
    return RedirectResponse(f"../../?version={version}", 303)


@router.get("/api/v1/plans")
def listed(viewer: Viewer, plans: Kept) -> dict[str, Any]:
    """Return the plans, the newest first."""
    return {"plans": [told(each) for each in plans.versions()]}


@router.post("/api/v1/plans", status_code=201)
def make(wanted: Wanted, planner: Planner, plans: Kept) -> dict[str, Any]:
    """Make a plan and return it."""
    version = plans.make(_within(wanted.start), wanted.hours, planner.name, wanted.reason)
    return document(plans.plan(version), plans.files(version))


@router.get("/api/v1/plans/{version}")
def plan(version: Version, viewer: Viewer, plans: Kept) -> dict[str, Any]:
    """Return a plan: each decision with its reason, its files and their publication."""
    return document(plans.plan(version), plans.files(version))


@router.post("/api/v1/plans/{version}/publish", status_code=202)
def publish(version: Version, why: Why, planner: Planner, plans: Kept) -> dict[str, Any]:
    """Have a plan published."""
    plans.publish(version, planner.name, why.reason)
    return document(plans.plan(version), plans.files(version))


@router.get("/api/v1/plans/{version}/files/{name}", response_class=Response)
def file(version: Version, name: FileName, viewer: Viewer, plans: Kept) -> Response:
    """Return a plan file."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(plans.content(version, name), media_type="application/xml", headers=headers)


@router.get("/api/v1/rules")
def rules(viewer: Viewer, plans: Kept) -> dict[str, Any]:
    """Return the rules that plans are made by now."""
    return plans.rules.model_dump(mode="json")


async def _form(request: Request) -> dict[str, str]:
    if request.headers.get("Content-Type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise ODataError(415, "MediaType", "send a form, or JSON to the address below /api/v1")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > FORM_BYTES:
            raise ODataError(413, "TooLarge", f"the form has over {FORM_BYTES} bytes")
    return {key: values[0] for key, values in parse_qs(content.decode("utf-8", "replace")).items()}


def _start(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ODataError(400, "InvalidParameter", "start is a time as 2026-11-23T08:00", target="start") from None
    return _within(found.replace(tzinfo=UTC) if found.tzinfo is None else found)


def _within(start: datetime) -> datetime:
    start = start.astimezone(UTC)
    if not 2000 <= start.year <= 2100:
        raise ODataError(400, "InvalidParameter", "start is not between 2000 and 2100", target="start")
    return start


def _hours(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= HOURS_MAXIMUM):
        raise ODataError(400, "InvalidParameter", f"hours is a number from 1 to {HOURS_MAXIMUM}", target="hours")
    return int(text)
