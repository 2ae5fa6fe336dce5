"""Areas over the dateline, cut into parts between -180 and 180 degrees as the stored footprints are."""

import shapely
from shapely.affinity import translate

_WORLD = shapely.box(-180, -90, 180, 90)


def cut(geometry: shapely.Geometry) -> shapely.Geometry:
    """Return `geometry` (degrees, longitude first) with all longitudes from -180 to 180.

    A line crosses the dateline where it goes over half the globe or more between two points. A polygon does where it
    is wider than half the globe and runs clockwise on the map, that is counter-clockwise on the globe. Longitudes
    beyond 180 may also be written out, as in 170 to 190.
    """
    parts = [_unwrapped(part) for part in shapely.get_parts(geometry)]
    if all(part.bounds[0] >= -180 and part.bounds[2] <= 180 for part in parts):
        return shapely.union_all(parts) if len(parts) > 1 else parts[0]
    dimension = shapely.get_dimensions(parts[0])
    pieces = [
        piece
        for part in parts
        for shift in (-360, 0, 360)
        for piece in shapely.get_parts(translate(part, xoff=shift) & _WORLD)
        if shapely.get_dimensions(piece) == dimension
    ]
    return shapely.union_all(pieces)


def _unwrapped(part: shapely.Geometry) -> shapely.Geometry:
    """Return one point, line or polygon with continuous longitudes."""
    if isinstance(part, shapely.LineString):
        return shapely.LineString(_continued(list(part.coords)))
    if not isinstance(part, shapely.Polygon):
        return part
    west, _, east, _ = part.bounds
    if not 180 < east - west < 360 or shapely.is_ccw(part.exterior):
        return part
    rings = [[(lon + 360 if lon < 0 else lon, lat) for lon, lat in ring.coords] for ring in _rings(part)]
    return shapely.Polygon(rings[0], rings[1:])


def _continued(points: list[tuple[float, ...]]) -> list[tuple[float, float]]:
    continued = [(points[0][0], points[0][1])]
    for lon, lat in points[1:]:
        turns = round((continued[-1][0] - lon) / 360)
        continued.append((lon + 360 * turns, lat))
    return continued


def _rings(polygon: shapely.Polygon) -> list[shapely.LinearRing]:
    return [polygon.exterior, *polygon.interiors]
