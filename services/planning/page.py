"""The page: one file that needs nothing else, for a phone and a desk, light and dark, without a program in it."""

from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from refsys.services.common.hosted import page_headers
from refsys.services.common.pages import templates
from refsys.services.orbits.timeline import Lane, Span
from refsys.services.planning.worldmap import mission_class, worldmap

FOLDER = Path(__file__).parent
SHARED = FOLDER.parent / "orbits" / "page"
STYLE = (SHARED / "page.css").read_text(encoding="utf-8")
HEADERS = page_headers(STYLE)
HOURS = (6, 12, 24, 48, 72)
NEXT = 8


def page(view: dict[str, Any], *, hours: int, satellite: str, satellites: list[str], user: str, now: datetime) -> str:
    """Return the HTML of a document; all that comes from outside is escaped."""
    span = Span(_time(view["start"]), _time(view["stop"]))
    pages = templates(FOLDER, SHARED)
    pages.filters |= {
        "moment": lambda text: f"{_time(text):%d %b %H:%M}",
        "minutes": lambda each: f"{(_time(each['stop']) - _time(each['start'])).total_seconds() / 60:.1f}",
    }
    planned = [each for each in view["contacts"] if not each["received"] and _time(each["stop"]) > now]
    return pages.get_template("page.html.j2").render(
        view=view,
        style=STYLE,
        user=user,
        hours=hours,
        choices=HOURS,
        satellite=satellite,
        satellites=satellites,
        query=urlencode({"start": view["start"][:16], "hours": hours, "satellite": satellite}),
        next=planned[:NEXT],
        map=worldmap(view),
        lanes=_lanes(view, span),
        ticks=span.ticks(),
        now=span.place(now) if span.start < now < span.stop else None,
    )


def _lanes(view: dict[str, Any], span: Span) -> list[Lane]:
    lanes = []
    names = sorted({each["satellite"] for kind in ("acquisitions", "contacts", "passes") for each in view[kind]})
    for name in names:
        bars = [
            span.bar(
                _time(each["start"]), _time(each["stop"]), mission_class(name),
                f"{name} {each['mode']} {each['polarisation']} {each['start'][11:19]} to {each['stop'][11:19]}",
            )
            for each in view["acquisitions"]
            if each["satellite"] == name
        ]  # fmt: skip
        lanes.append(Lane(f"{name} acq.", bars))
    for station in view["stations"]:
        lanes.append(Lane(station["name"], _passes(view, span, station["code"]), head=True))
        antennas = [*station["antennas"], *_others(view, station)]
        lanes += [Lane(name or "no antenna", _contacts(view, span, station["code"], name)) for name in antennas]
    return lanes


def _others(view: dict[str, Any], station: dict[str, Any]) -> list[str]:
    """Antennas that contacts have, and the station has not; empty for contacts that name none."""
    named = {each["antenna"] for each in view["contacts"] if each["station"] == station["code"]}
    return sorted(named - set(station["antennas"]))


def _passes(view: dict[str, Any], span: Span, station: str) -> list[Any]:
    return [
        span.bar(
            _time(each["rise"]), _time(each["set"]), "pass",
            f"{each['satellite']} {each['rise'][11:19]} to {each['set'][11:19]}, up to {each['elevation']:.0f}°",
        )
        for each in view["passes"]
        if each["station"] == station
    ]  # fmt: skip


def _contacts(view: dict[str, Any], span: Span, station: str, antenna: str) -> list[Any]:
    found = []
    for each in view["contacts"]:
        if each["station"] != station or each["antenna"] != antenna:
            continue
        kind = mission_class(each["satellite"])
        kind += " received" if each["received"] else ""
        kind += " wrong" if each["conflicts"] else ""
        told = [f"{each['satellite']} {each['start'][11:19]} to {each['stop'][11:19]}", *each["conflicts"]]
        found.append(span.bar(_time(each["start"]), _time(each["stop"]), kind, ", ".join(told)))
    return found


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
