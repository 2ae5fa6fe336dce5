"""The page: one file that needs nothing else, for a phone and a desk, light and dark, without a program in it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from refsys.services.common.hosted import page_headers
from refsys.services.common.pages import templates
from refsys.services.orbits.stations import Station
from refsys.services.orbits.timeline import Bar, Lane, Span
from refsys.services.sra.allocation import CHOSEN

FOLDER = Path(__file__).parent
SHARED = FOLDER.parent / "orbits" / "page"
STYLE = (SHARED / "page.css").read_text(encoding="utf-8")
HEADERS = page_headers(STYLE)
HOURS = (6, 12, 24, 48, 72)
STATES = {"draft": "look", "publishing": "look", "published": "well", "incomplete": "bad"}


def page(
    plan: dict[str, Any] | None,
    versions: Sequence[dict[str, Any]],
    *,
    stations: Sequence[Station],
    user: str,
    planner: bool,
    known: tuple[datetime, datetime] | None,
    now: datetime,
) -> str:
    """Return the HTML of a plan, and of the list of all; all that comes from outside is escaped."""
    pages = templates(FOLDER, SHARED)
    pages.filters |= {
        "moment": lambda text: f"{_time(text):%d %b %H:%M}",
        "clock": lambda text: f"{_time(text):%H:%M:%S}",
        "minutes": lambda each: f"{(_time(each['stop']) - _time(each['start'])).total_seconds() / 60:.1f}",
        "kind": lambda each: each["satellite"][:2].lower(),
    }
    span = Span(_time(plan["start"]), _time(plan["stop"])) if plan else None
    return pages.get_template("page.html.j2").render(
        plan=plan,
        versions=versions,
        style=STYLE,
        user=user,
        planner=planner,
        known=known,
        start=_first(now, known),
        choices=HOURS,
        states=STATES,
        lanes=_lanes(plan["decisions"], span, stations) if plan and span else [],
        ticks=span.ticks() if span else [],
        now=span.place(now) if span and span.start < now < span.stop else None,
    )


def _first(now: datetime, known: tuple[datetime, datetime] | None) -> datetime:
    """The time that the form offers: the next full hour, or where orbits begin if they are not of now."""
    if known and not known[0] <= now <= known[1]:
        return known[0]
    return now


def _lanes(decisions: Sequence[dict[str, Any]], span: Span, stations: Sequence[Station]) -> list[Lane]:
    lanes = []
    for station in stations:
        own = [each for each in decisions if each["station"] == station.code]
        refused = [_bar(span, each, "refused") for each in own if each["rule"] != CHOSEN]
        lanes.append(Lane(station.name, refused, head=True))
        for antenna in station.antennas:
            chosen = [each for each in own if each["antenna"] == antenna]
            lanes.append(Lane(antenna, [_bar(span, each, each["satellite"][:2].lower()) for each in chosen]))
    return lanes


def _bar(span: Span, each: dict[str, Any], kind: str) -> Bar:
    start, stop = _time(each["start"]), _time(each["stop"])
    return span.bar(start, stop, kind, f"{each['satellite']} {start:%H:%M:%S} to {stop:%H:%M:%S}, {each['text']}")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
