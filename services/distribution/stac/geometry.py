"""Areas of searches, and the bounding boxes of footprints (RFC 7946, sections 3.1.9 and 5)."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import shapely
from sqlalchemy import func
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import product
from refsys.services.distribution.stac.errors import bad_request

MAX_POSITIONS = 20_000
LONGITUDE, LATITUDE = 180.0, 90.0
_DIMENSIONS = {4: (0, 1, 2, 3), 6: (0, 1, 3, 4)}


def bounds(geometry: dict[str, Any]) -> list[float]:
    """Return west, south, east, north in degrees; west is greater than east where the shape crosses the dateline.

    Footprints that cross it are stored cut in two, one part ending at 180, the other beginning at -180.
    """
    parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    boxes = [_box(part) for part in parts]
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    west, east = min(box[0] for box in boxes), max(box[2] for box in boxes)
    if (west, east) == (-LONGITUDE, LONGITUDE) and len(boxes) > 1:
        eastern = [box[0] for box in boxes if box[0] >= 0]
        western = [box[2] for box in boxes if box[2] <= 0]
        if len(eastern) + len(western) == len(boxes) and eastern and western:
            west, east = min(eastern), max(western)
    return [west, south, east, north]


def in_box(box: Sequence[float]) -> ColumnElement[bool]:
    """Return the condition `bbox`: footprints that touch it; heights are not looked at."""
    condition: ColumnElement[bool] = func.ST_Intersects(product.c.footprint, envelope("bbox", box))
    return condition


def footprint_touches(parameter: str, geojson: object) -> ColumnElement[bool]:
    """Return the condition `intersects`."""
    condition: ColumnElement[bool] = func.ST_Intersects(product.c.footprint, shape(parameter, geojson))
    return condition


def envelope(parameter: str, box: object) -> ColumnElement[Any]:
    """Return a box of 4 or 6 numbers as SQL, in two parts if it crosses the dateline; 400 if it is none."""
    if not isinstance(box, list | tuple) or len(box) not in _DIMENSIONS or not all(map(_is_number, box)):
        raise bad_request(parameter, "a box is west,south,east,north in degrees")
    west, south, east, north = (float(box[number]) for number in _DIMENSIONS[len(box)])
    if not (-LATITUDE <= south <= north <= LATITUDE):
        raise bad_request(parameter, "latitudes are from -90 to 90, south before north")
    if not (-LONGITUDE <= west <= LONGITUDE and -LONGITUDE <= east <= LONGITUDE):
        raise bad_request(parameter, "longitudes are from -180 to 180")
    if west <= east:
        return func.ST_MakeEnvelope(west, south, east, north, 4326)
    parts = shapely.MultiPolygon(
        [shapely.box(west, south, LONGITUDE, north), shapely.box(-LONGITUDE, south, east, north)]
    )
    return func.ST_GeomFromText(parts.wkt, 4326)


def shape(parameter: str, geojson: object) -> ColumnElement[Any]:
    """Return a GeoJSON geometry of a client as SQL; 400 if it is none in degrees."""
    if not isinstance(geojson, dict) or not isinstance(geojson.get("type"), str):
        raise bad_request(parameter, "is not a GeoJSON geometry")
    try:
        found = shapely.from_geojson(json.dumps(geojson, allow_nan=False))
    except (shapely.errors.GEOSException, ValueError, TypeError, RecursionError) as error:
        raise bad_request(parameter, f"is not a GeoJSON geometry: {str(error)[:200]}") from error
    return _sql(parameter, found)


def _sql(parameter: str, geometry: shapely.Geometry | None) -> ColumnElement[Any]:
    """Return a checked geometry as a bound parameter."""
    if geometry is None or geometry.is_empty:
        raise bad_request(parameter, "the geometry is empty")
    if shapely.get_num_coordinates(geometry) > MAX_POSITIONS:
        raise bad_request(parameter, f"the geometry has more than {MAX_POSITIONS} positions")
    west, south, east, north = geometry.bounds
    if not (-LONGITUDE <= west <= east <= LONGITUDE and -LATITUDE <= south <= north <= LATITUDE):
        raise bad_request(parameter, "longitudes are from -180 to 180, latitudes from -90 to 90, longitude first")
    valid = shapely.force_2d(geometry if geometry.is_valid else shapely.make_valid(geometry))
    return func.ST_GeomFromText(valid.wkt, 4326)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _box(coordinates: Any) -> tuple[float, float, float, float]:
    positions = list(_positions(coordinates))
    longitudes, latitudes = [each[0] for each in positions], [each[1] for each in positions]
    return min(longitudes), min(latitudes), max(longitudes), max(latitudes)


def _positions(coordinates: Any) -> Iterator[Sequence[float]]:
    if isinstance(coordinates[0], int | float):
        yield coordinates
        return
    for each in coordinates:
        yield from _positions(each)
