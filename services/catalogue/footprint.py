"""Footprints: outlines as the products write them, as GeoJSON in WGS 84 (RFC 7946).

An edge goes the shorter way round the globe. Outlines over the dateline are cut there; those round a pole are
closed over it. What is invalid is repaired; what has no area is left out. A note says so.
"""

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import shapely
from shapely.affinity import translate
from shapely.errors import ShapelyError
from shapely.geometry import MultiPolygon, Polygon, box

Point = tuple[float, float]
"""Longitude and latitude in degrees."""
Ring = list[Point]
POINTS_LIMIT = 20_000
_GRID = 1e-7  # degrees: a centimetre


def of(rings: Sequence[Ring]) -> tuple[dict[str, Any] | None, str]:
    """The footprint of one or more outlines, None if there is none; and a note if it is not what they say."""
    if not rings:
        return None, ""
    if sum(map(len, rings)) > POINTS_LIMIT:
        return None, f"footprint left out: it has over {POINTS_LIMIT} points"
    parts, notes = [], []
    for ring in rings:
        shape, note = _area(ring)
        notes += [note] if note else []
        parts += [shape] if shape else []
    whole = _polygons(shapely.union_all(parts)) if parts else None
    if whole is None:
        return None, f"footprint left out: {notes[0] if notes else 'it has no area'}"
    geojson: dict[str, Any] = json.loads(shapely.to_geojson(shapely.orient_polygons(whole)))
    return geojson, f"footprint repaired: {notes[0]}" if notes else ""


def _area(ring: Ring) -> tuple[shapely.Geometry | None, str]:
    """The area of one outline within the bounds of the globe."""
    if any(not (abs(lon) <= 180 and abs(lat) <= 90) for lon, lat in ring):
        return None, "a coordinate is not in degrees"
    points = [point for index, point in enumerate(ring) if index == 0 or point != ring[index - 1]]
    if len(points) > 1 and points[0] != points[-1]:
        points.append(points[0])
    if len(points) < 4:
        return None, "an outline has fewer than three corners"
    shape = Polygon(_unwound(points))
    note = "" if shape.is_valid else str(shapely.is_valid_reason(shape)).partition("[")[0].lower()
    try:
        valid = _polygons(shapely.make_valid(shape))
        area = None if valid is None else _polygons(_cut(valid))
    except ShapelyError as error:
        return None, f"it can't be repaired: {error}"
    return (area, note) if area is not None else (None, "it has no area")


def _unwound(points: Ring) -> Ring:
    """The ring with longitudes that run on over the dateline; closed over the pole if it goes round one."""
    if {abs(lon) for lon, _ in points} == {180.0}:
        return points  # round the whole globe, written from edge to edge
    longitudes = [points[0][0]]
    for (before, _), (after, _) in pairwise(points):
        step = after - before
        longitudes.append(longitudes[-1] + step - 360 * round(step / 360) * (abs(step) > 180))
    latitudes = [lat for _, lat in points]
    unwound = list(zip(longitudes, latitudes, strict=True))
    if abs(longitudes[-1] - longitudes[0]) > 180:
        pole = math.copysign(90, sum(latitudes[:-1]))
        unwound += [(longitudes[-1], pole), (longitudes[0], pole)]
    return unwound


def _cut(shape: shapely.Geometry) -> shapely.Geometry:
    """The shape within -180 to 180 degrees, its parts beyond brought there from the other side."""
    west, _, east, _ = shape.bounds
    parts = []
    for turn in range(math.floor((west + 180) / 360), math.ceil((east + 180) / 360)):
        window = box(360 * turn - 180, -90, 360 * turn + 180, 90)
        parts.append(translate(shape & window, xoff=-360 * turn))
    return shapely.union_all(parts)


def _polygons(shape: shapely.Geometry) -> shapely.Geometry | None:
    """The parts of a shape that have an area."""
    parts = [part for part in shapely.get_parts(shape) if isinstance(part, Polygon) and part.area > _GRID**2]
    parts += [
        inner
        for part in shapely.get_parts(shape)
        if isinstance(part, MultiPolygon)
        for inner in part.geoms
        if inner.area > _GRID**2
    ]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)
