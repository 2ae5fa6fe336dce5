"""The geography functions of the PRIP ICD: `OData.CSC.Intersects`, `Within`, `Disjoints`."""

import re

import shapely
from odata_query import ast
from sqlalchemy import func
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import product
from refsys.services.distribution.odata.dateline import cut
from refsys.services.distribution.odata.errors import bad_filter

_FUNCTIONS = {"Intersects": func.ST_Intersects, "Within": func.ST_Within, "Disjoints": func.ST_Disjoint}
_TYPES = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"}


def condition(call: ast.Call) -> ColumnElement[bool]:
    """Return the SQL of `OData.CSC.<function>([location=Footprint,]area=geography'SRID=4326;<WKT>')`."""
    function = _FUNCTIONS.get(call.func.name)
    if function is None:
        raise bad_filter(f"OData.CSC.{call.func.name} is not known; OData.CSC has {', '.join(_FUNCTIONS)}")
    area: ast.Geography | None = None
    for argument in call.args:
        name, value = (argument.name.name, argument.param) if isinstance(argument, ast.NamedParam) else ("", argument)
        if isinstance(value, ast.Geography) and name in {"", "area"}:
            area = value
        elif not (isinstance(value, ast.Identifier) and value.name in {"Footprint", "GeoFootprint"}):
            raise bad_filter(f"{call.func.name}: give area=geography'SRID=4326;POLYGON((lon lat,…))'")
    if area is None:
        raise bad_filter(f"{call.func.name}: the argument area=geography'SRID=4326;…' is missing")
    result: ColumnElement[bool] = function(product.c.footprint, func.ST_GeomFromText(_wkt(area.val), 4326))
    return result


def _wkt(text: str) -> str:
    """Return the checked WKT of a geography literal (longitude and latitude in degrees), cut at the dateline."""
    match = re.fullmatch(r"\s*(?:SRID\s*=\s*(\d+)\s*;)?(.*)", text, re.DOTALL | re.IGNORECASE)
    srid, wkt = (match[1], match[2]) if match else (None, text)
    if srid not in {None, "4326"}:
        raise bad_filter(f"geography: SRID={srid} is not supported, use SRID=4326 (longitude latitude)")
    try:
        geometry = shapely.from_wkt(wkt.strip())
    except (shapely.errors.GEOSException, ValueError) as error:  # ValueError: NUL in the text
        raise bad_filter(f"geography: '{wkt[:60]}' is not WKT: {error}") from error
    if geometry is None or geometry.is_empty or geometry.geom_type not in _TYPES:
        raise bad_filter("geography: give a POINT, LINESTRING, POLYGON or several (MULTI…) that is not empty")
    geometry = shapely.force_2d(geometry)
    west, south, east, north = geometry.bounds
    if not (-360 <= west <= east <= 360 and -90 <= south <= north <= 90):
        raise bad_filter("geography: longitudes are from -180 to 180, latitudes from -90 to 90, longitude first")
    if any(shapely.is_empty(part) for part in shapely.get_parts(geometry)):
        raise bad_filter("geography: one of the parts is empty")
    if not geometry.is_valid:
        raise bad_filter(f"geography: {shapely.is_valid_reason(geometry)}")
    try:
        return str(cut(geometry).wkt)
    except shapely.errors.GEOSException as error:
        raise bad_filter(f"geography: the area cannot be cut at the dateline: {error}") from error
