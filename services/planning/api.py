"""The page, and the same as JSON under `/api/v1`."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from refsys.services.common.hosted import Visitor, having
from refsys.services.common.messages import iso, utc_now
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.planning import page
from refsys.services.planning.document import document, tracks
from refsys.services.planning.situation import Situation, Situations

VIEWER = "viewer"
HOURS, HOURS_MAXIMUM = 24, 72

router = APIRouter()

Viewer = Annotated[Visitor, Depends(having(VIEWER))]


class Wanted:
    """What of the time, and of which satellite, is asked for."""

    def __init__(
        self,
        start: Annotated[str, Query(max_length=40)] = "",
        hours: Annotated[int, Query(ge=1, le=HOURS_MAXIMUM)] = HOURS,
        satellite: Annotated[str, Query(max_length=8, pattern=r"^([A-Z0-9]{3})?$")] = "",
    ) -> None:
        """Without a start, from the full hour that is running."""
        self.now = utc_now()
        self.start = _time(start) if start else self.now.replace(minute=0, second=0, microsecond=0)
        self.hours, self.satellite = hours, satellite

    def situation(self, request: Request) -> Situation:
        """Return what is known of it."""
        return situations(request).of(self.start, self.hours, self.now)


Asked = Annotated[Wanted, Depends(Wanted)]


@router.get("/", response_class=HTMLResponse)
def view(viewer: Viewer, asked: Asked, request: Request) -> HTMLResponse:
    """Return the page."""
    found = asked.situation(request)
    html = page.page(
        document(found, asked.satellite),
        hours=asked.hours,
        satellite=asked.satellite,
        satellites=sorted(situations(request).satellites),
        user=viewer.name,
        now=asked.now,
    )
    return HTMLResponse(html, headers=page.HEADERS)


@router.get("/api/v1/overview", dependencies=[Depends(having(VIEWER))])
def overview(asked: Asked, request: Request) -> dict[str, Any]:
    """Return passes, contacts, acquisitions, conflicts and tracks of a time."""
    return document(asked.situation(request), asked.satellite)


@router.get("/api/v1/tracks", dependencies=[Depends(having(VIEWER))])
def ground_tracks(asked: Asked, request: Request) -> dict[str, Any]:
    """Return the ground tracks of one revolution as GeoJSON."""
    return tracks(asked.situation(request), asked.satellite)


@router.get("/api/v1/files", dependencies=[Depends(having(VIEWER))])
def files(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """Return the files that were read from the AUXIP, the last published first, and why some could not be."""
    rows = situations(request).known.files(limit)
    return {
        "files": [
            {key: iso(value) if isinstance(value, datetime) else value for key, value in row.items()} for row in rows
        ]
    }


def situations(request: Request) -> Situations:
    """Return what finds situations, of the application."""
    found: Situations = request.app.state.situations
    return found


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ODataError(400, "InvalidParameter", "start is a time as 2026-11-23T08:00", target="start") from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    if not 2000 <= found.year <= 2100:
        raise ODataError(400, "InvalidParameter", "start is not between 2000 and 2100", target="start")
    return found
