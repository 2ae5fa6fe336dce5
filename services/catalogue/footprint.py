"""Footprints from metadata: outlines as the products write them, as GeoJSON in WGS 84."""

import json
from itertools import pairwise
from typing import Any

import shapely
from lxml import etree
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box

from refsys.services.catalogue.xml import UnreadableError, elements, text

Point = tuple[float, float]  # longitude, latitude in degrees
_WEST, _EAST = box(-180, -90, 180, 90), box(180, -90, 540, 90)


def of(root: etree._Element) -> dict[str, Any] | None:
    """The footprint as GeoJSON, cut at the dateline; None if the metadata has none."""
    points = _points(root)
    if points is None:
        return None
    if len(points) < 3 or any(abs(lon) > 180 or abs(lat) > 90 for lon, lat in points):
        raise UnreadableError("footprint is not an outline in degrees")
    shape = shapely.make_valid(_outline(points))
    if shape.is_empty or not isinstance(shape, Polygon | MultiPolygon):
        raise UnreadableError("footprint has no area")
    geojson: dict[str, Any] = json.loads(shapely.to_geojson(shape))
    return geojson


def _outline(points: list[Point]) -> shapely.Geometry:
    closed = [*points, points[0]]
    if all(abs(second[0] - first[0]) <= 180 for first, second in pairwise(closed)):
        return Polygon(points)
    # An edge of over half the globe goes the other way round: over the dateline.
    shape = shapely.make_valid(Polygon([(lon + 360 if lon < 0 else lon, lat) for lon, lat in points]))
    return shapely.union_all([shape & _WEST, translate(shape & _EAST, xoff=-360)])


def _points(root: etree._Element) -> list[Point] | None:
    try:
        if listed := [
            (float(text(point, "LONGITUDE") or ""), float(text(point, "LATITUDE") or ""))
            for point in elements(root, "Geo_Pnt")
        ]:
            return listed
        if coordinates := text(root, "coordinates"):  # Sentinel-1: `lat,lon lat,lon`
            pairs = [pair.split(",") for pair in coordinates.split()]
            return [(float(lon), float(lat)) for lat, lon in pairs]
        if positions := text(root, "posList"):  # Sentinel-3: `lat lon lat lon`
            numbers = [float(number) for number in positions.split()]
            return list(zip(numbers[1::2], numbers[::2], strict=True))
    except ValueError:
        raise UnreadableError("footprint has coordinates that are no numbers") from None
    return None
