"""The notations of outlines in product metadata, read as rings of (longitude, latitude) in degrees."""

from lxml import etree

from refsys.services.catalogue.footprint import Ring
from refsys.services.catalogue.xml import elements, text

PROBLEM = "footprint left out: coordinates are no numbers or incomplete"


def gml_coordinates(root: etree._Element) -> list[Ring] | str:
    """`coordinates` of Sentinel-1: `lat,lon lat,lon …`, one element a frame; a text says why they can't be read."""
    try:
        return [
            [(float(lon), float(lat)) for lat, lon in (pair.split(",") for pair in written.split())]
            for element in elements(root, "coordinates")
            if (written := (element.text or "").strip())
        ]
    except ValueError:
        return PROBLEM


def gml_positions(root: etree._Element) -> list[Ring] | str:
    """`posList` of Sentinel-3: `lat lon lat lon …`."""
    try:
        return [
            _pairs([float(number) for number in written.split()], 2)
            for element in elements(root, "posList")
            if (written := (element.text or "").strip())
        ]
    except ValueError:
        return PROBLEM


def extended_positions(root: etree._Element) -> list[Ring] | str:
    """`EXT_POS_LIST` of Sentinel-2: closed, `lat lon …` or, with heights, `lat lon height …`."""
    written = text(root, "EXT_POS_LIST")
    if written is None:
        return []
    try:
        numbers = [float(number) for number in written.split()]
        for width in (3, 2):
            if len(numbers) % width == 0 and len(numbers) > width and numbers[:2] == numbers[-width:][:2]:
                return [_pairs(numbers, width)]
        return [_pairs(numbers, 2)]
    except ValueError:
        return PROBLEM


def points(root: etree._Element) -> list[Ring] | str:
    """`Geo_Pnt` of a Sentinel-2 inventory: `LATITUDE` and `LONGITUDE` of each corner."""
    try:
        ring = [
            (float(text(point, "LONGITUDE") or ""), float(text(point, "LATITUDE") or ""))
            for point in elements(root, "Geo_Pnt")
        ]
    except ValueError:
        return PROBLEM
    return [ring] if ring else []


def _pairs(numbers: list[float], width: int) -> Ring:
    """Rings of rows of `width` numbers that start with latitude and longitude; ValueError if a row is incomplete."""
    return list(zip(numbers[1::width], numbers[::width], strict=True))
