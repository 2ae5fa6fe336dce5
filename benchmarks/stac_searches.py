"""The twenty requests of a typical STAC client, each drawn anew for every repetition."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
DAYS = 4 * 365

Json = dict[str, Any]


class Call(NamedTuple):
    """A GET of `path`, or with a `body` a POST."""

    path: str
    body: Json | None = None


def _search(**body: Any) -> Call:
    return Call("/search", {"limit": 10, **body})


def _days(random: Random, days: int) -> str:
    start = EPOCH + timedelta(days=random.randrange(DAYS - days))
    return f"{start:%Y-%m-%dT%H:%M:%SZ}/{start + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def _box(random: Random, size: float = 5) -> list[float]:
    west, south = random.uniform(-170, 160), random.uniform(-70, 65)
    return [west, south, west + size, south + size]


def _polygon(random: Random) -> Json:
    west, south, east, north = _box(random)
    return {"type": "Polygon", "coordinates": [[[west, south], [east, south], [west, north], [west, south]]]}


def _is(name: str, value: object, operator: str = "=") -> Json:
    return {"op": operator, "args": [{"property": name}, value]}


def _and(*parts: Json) -> Json:
    return {"op": "and", "args": list(parts)}


def searches(names: list[tuple[str, str]]) -> dict[str, Callable[[Random], Call]]:
    """Return the requests by title; `names` are pairs of collection and item that exist."""

    def item(random: Random) -> Call:
        collection, name = random.choice(names)
        return Call(f"/collections/{collection}/items/{name}")

    radar, optical = ["sentinel-1-grd"], ["sentinel-2-l2a"]
    return {
        "landing page": lambda _: Call("/"),
        "collections": lambda _: Call("/collections"),
        "one collection": lambda _: Call("/collections/sentinel-1-grd"),
        "one item": item,
        "newest of all": lambda _: _search(),
        "newest 100 of a collection": lambda _: _search(collections=radar, limit=100),
        "items of a collection": lambda _: Call("/collections/sentinel-2-l2a/items?limit=10"),
        "five by id": lambda r: _search(ids=[name for _, name in r.sample(names, 5)]),
        "box": lambda r: _search(bbox=_box(r)),
        "day": lambda r: _search(datetime=_days(r, 1)),
        "collection, day": lambda r: _search(collections=radar, datetime=_days(r, 1)),
        "collection, box": lambda r: _search(collections=radar, bbox=_box(r)),
        "collection, box, month": lambda r: _search(collections=radar, bbox=_box(r), datetime=_days(r, 30)),
        "collection, polygon, year": lambda r: _search(
            collections=optical, intersects=_polygon(r), datetime=_days(r, 365)
        ),
        "two collections, month, 100": lambda r: _search(
            collections=["sentinel-1-slc", "sentinel-3-olci-l1"], datetime=_days(r, 30), limit=100
        ),
        "collection, month, cloud cover": lambda r: _search(
            collections=optical, datetime=_days(r, 30), filter=_is("eo:cloud_cover", r.randint(5, 20), "<=")
        ),
        "collection, box, cloud cover": lambda r: _search(
            collections=optical, bbox=_box(r), filter=_is("eo:cloud_cover", r.randint(5, 20), "<=")
        ),
        "collection, relative orbit": lambda r: _search(
            collections=radar, filter=_is("sat:relative_orbit", r.randint(1, 175))
        ),
        "collection, platform, direction, week": lambda r: _search(
            collections=radar,
            datetime=_days(r, 7),
            filter=_and(_is("platform", "sentinel-1a"), _is("sat:orbit_state", "ascending")),
        ),
        "collection, tile": lambda r: _search(
            collections=optical,
            filter=_is("grid:code", f"MGRS-{1 + (n := r.randrange(10**6)) % 60}T{chr(65 + n % 23)}{chr(65 + n % 19)}"),
        ),
    }
