"""The world map as SVG, plate carrée: a tenth of a degree is one unit. Colours come from the page.

The coastlines are Natural Earth's land at 1:110 million, which is in the public domain (docs/decisions/production.md).
"""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

LAND = (Path(__file__).parent / "land.path").read_text(encoding="utf-8")
UNITS = 10
NET = "".join(f"M{x} 0v1800" for x in range(300, 3600, 300)) + "".join(f"M0 {y}h3600" for y in range(300, 1800, 300))
HALF_TURN = 180


def worldmap(view: dict[str, Any]) -> str:
    """Return the map of a document: acquisitions, tracks, satellites and stations."""
    return (
        '<svg class="map" viewBox="0 0 3600 1800" role="img" aria-label="World map with ground tracks and stations">'
        f'<path class="land" d="{LAND}"/><path class="net" d="{NET}"/>'
        + "".join(_segments(view["acquisitions"]))
        + "".join(_tracks(view["tracks"]["features"]))
        + "".join(_stations(view["stations"]))
        + "".join(_satellites(view["tracks"]["features"]))
        + "</svg>"
    )


def mission_class(satellite: str) -> str:
    """The class of the page's style for a satellite: that of its mission."""
    return escape(satellite[:2].lower())


def _point(longitude: float, latitude: float) -> str:
    return f"{(longitude + 180) * UNITS:.0f} {(90 - latitude) * UNITS:.0f}"


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(_point(*point) for point in points)


def _segments(acquisitions: Iterable[dict[str, Any]]) -> Iterable[str]:
    for each in acquisitions:
        ring = each["footprint"]
        if len(ring) < 3:
            continue
        title = escape(f"{each['satellite']} {each['mode']} {each['start'][:16]}")
        for part in _unrolled(ring):
            kind = mission_class(each["satellite"])
            yield f'<path class="segment {kind}" d="{_path(part)}z"><title>{title}</title></path>'


def _unrolled(ring: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """A ring; one that crosses the antimeridian twice, once at each edge of the map, which cuts it."""
    longitudes = [x for x, _ in ring]
    if max(longitudes) - min(longitudes) <= HALF_TURN:
        return [ring]
    east = [(x + 360 if x < 0 else x, y) for x, y in ring]
    return [east, [(x - 360, y) for x, y in east]]


def _tracks(features: Iterable[dict[str, Any]]) -> Iterable[str]:
    for each in features:
        name = each["properties"]["satellite"]
        path = "".join(_path((x, y) for x, y in part) for part in each["geometry"]["coordinates"])
        yield f'<path class="track {mission_class(name)}" d="{path}"><title>{escape(name)}</title></path>'


def _stations(stations: Iterable[dict[str, Any]]) -> Iterable[str]:
    for each in stations:
        x, y = _point(each["longitude"], each["latitude"]).split()
        yield f'<rect class="station" x="{int(x) - 16}" y="{int(y) - 16}" width="32" height="32"/>'
        yield f'<text x="{int(x) + 30}" y="{int(y) + 50}">{escape(each["code"].strip("_"))}</text>'


def _satellites(features: Iterable[dict[str, Any]]) -> Iterable[str]:
    for each in features:
        name, (x, y) = each["properties"]["satellite"], each["properties"]["place"]
        left, top = _point(x, y).split()
        anchor = "end" if int(left) > 3200 else "start"
        offset = -32 if anchor == "end" else 32
        yield f'<circle class="{mission_class(name)}" cx="{left}" cy="{top}" r="24"/>'
        yield (
            f'<text class="satellite" text-anchor="{anchor}" x="{int(left) + offset}" y="{int(top) - 20}">'
            f"{escape(name)}</text>"
        )
