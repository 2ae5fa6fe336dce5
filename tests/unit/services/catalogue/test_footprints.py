"""Footprints of known area: plain, over the dateline, round the poles, broken; as GeoJSON of RFC 7946."""

import io
import math
from typing import Any

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from refsys.services.catalogue import footprint, outlines
from refsys.services.catalogue.footprint import Ring
from refsys.services.catalogue.xml import read_document


def area(geojson: dict[str, Any] | None) -> float:
    """Square degrees."""
    assert geojson is not None
    shape = shapely.geometry.shape(geojson)
    assert shape.is_valid
    west, south, east, north = shape.bounds
    assert west >= -180
    assert east <= 180
    assert south >= -90
    assert north <= 90
    rings = [part.exterior for part in getattr(shape, "geoms", [shape])]
    assert all(ring.is_ccw for ring in rings)
    return float(shape.area)


def box_of(west: float, south: float, east: float, north: float) -> Ring:
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


KNOWN: dict[str, tuple[list[Ring], str, float]] = {
    "plain": ([box_of(10, 20, 12, 21)], "Polygon", 2),
    "clockwise": ([box_of(10, 20, 12, 21)[::-1]], "Polygon", 2),
    "not closed": ([box_of(10, 20, 12, 21)[:-1]], "Polygon", 2),
    "over the dateline": ([[(179, 10), (-179, 10), (-179, 12), (179, 12)]], "MultiPolygon", 4),
    "over the dateline westwards": ([[(-179, 10), (179, 10), (179, 12), (-179, 12)]], "MultiPolygon", 4),
    "to the dateline": ([[(178, 0), (180, 0), (180, 1), (178, 1)]], "Polygon", 2),
    "to the dateline from the east": ([[(180, 0), (-178, 0), (-178, 1), (-180, 1)]], "Polygon", 2),
    "round the north pole": ([[(0, 80), (90, 80), (180, 80), (-90, 80)]], "Polygon", 3600),
    "round the south pole": ([[(0, -80), (-90, -80), (180, -80), (90, -80)]], "Polygon", 3600),
    "round the pole off the meridian": ([[(30, 85), (150, 85), (-90, 85)]], "Polygon", 1800),
    "the whole globe": ([box_of(-180, -90, 180, 90)], "Polygon", 360 * 180),
    "two frames": ([box_of(0, 0, 1, 1), box_of(5, 5, 6, 6)], "MultiPolygon", 2),
    "frames that touch": ([box_of(0, 0, 1, 1), box_of(1, 0, 2, 1)], "Polygon", 2),
}


@pytest.mark.parametrize("case", KNOWN)
def test_known_areas(case: str) -> None:
    rings, kind, expected = KNOWN[case]
    geojson, note = footprint.of(rings)
    assert area(geojson) == pytest.approx(expected)
    assert geojson is not None
    assert geojson["type"] == kind
    assert note == ""


def test_the_dateline_is_where_it_is_cut() -> None:
    geojson, _ = footprint.of([[(179, 10), (-179, 10), (-179, 12), (179, 12)]])
    assert geojson is not None
    longitudes = {point[0] for polygon in geojson["coordinates"] for point in polygon[0]}
    assert longitudes == {179.0, 180.0, -180.0, -179.0}


def test_a_bow_tie_is_repaired_with_a_note() -> None:
    geojson, note = footprint.of([[(0, 0), (2, 2), (2, 0), (0, 2)]])
    assert area(geojson) == pytest.approx(2)
    assert note == "footprint repaired: self-intersection"


@pytest.mark.parametrize(
    "rings",
    [
        [[(0.0, 0.0), (1.0, 1.0)]],
        [[(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]],
        [[(0.0, 91.0), (1.0, 0.0), (0.0, 0.0)]],
        [[(181.0, 0.0), (1.0, 0.0), (0.0, 1.0)]],
        [[(math.nan, 0.0), (1.0, 0.0), (0.0, 1.0)]],
        [[(0.0, 0.0)] * 9],
        [[(number / 1000, number % 2) for number in range(footprint.POINTS_LIMIT + 1)]],
    ],
)
def test_what_has_no_area_is_left_out_with_a_note(rings: list[Ring]) -> None:
    geojson, note = footprint.of(rings)
    assert geojson is None
    assert note.startswith("footprint left out: ")


def test_a_good_outline_beside_a_bad_one_stays() -> None:
    geojson, note = footprint.of([box_of(0, 0, 1, 1), [(0, 0), (1, 1)]])
    assert area(geojson) == pytest.approx(1)
    assert note.startswith("footprint repaired: ")


POINTS = st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), max_size=12)


@settings(deadline=None)
@given(st.lists(POINTS, max_size=3))
def test_any_outlines_give_a_valid_footprint_or_a_note(rings: list[Ring]) -> None:
    geojson, note = footprint.of(rings)
    if geojson is not None:
        assert area(geojson) > 0
    else:
        assert note or not rings


def outline(kind: str, content: str) -> etree._Element:
    return read_document(io.BytesIO(f"<a><{kind}>{content}</{kind}></a>".encode()))


def test_the_notations_of_the_missions() -> None:
    ring = [(20.0, 10.0), (22.0, 10.0), (22.0, 12.0)]
    closed = [*ring, ring[0]]
    assert outlines.gml_coordinates(outline("coordinates", "10,20 10,22 12,22")) == [ring]
    assert outlines.gml_positions(outline("posList", "10 20 10 22 12 22")) == [ring]
    assert outlines.extended_positions(outline("EXT_POS_LIST", "10 20 10 22 12 22 10 20")) == [closed]
    heights = "10 20 91.9 10 22 134.3 12 22 80.5 10 20 91.9"
    assert outlines.extended_positions(outline("EXT_POS_LIST", heights)) == [closed]
    doubled = "10 20 9 10 22 9 12 22 9 11 21 9 10.5 20 9 10 20 9"  # as many numbers as pairs would need
    found = outlines.extended_positions(outline("EXT_POS_LIST", doubled))
    assert isinstance(found, list)
    (ring_of_pairs,) = found
    assert ring_of_pairs[3] == (21.0, 11.0)
    points = "".join(f"<Geo_Pnt><LATITUDE>{lat}</LATITUDE><LONGITUDE>{lon}</LONGITUDE></Geo_Pnt>" for lon, lat in ring)
    assert outlines.points(outline("List_Of_Geo_Pnt", points)) == [ring]
    for reader in (outlines.gml_coordinates, outlines.gml_positions, outlines.extended_positions, outlines.points):
        assert reader(outline("other", "x")) == []
    assert outlines.gml_coordinates(outline("coordinates", "a,b c,d")) == outlines.PROBLEM
    assert outlines.gml_coordinates(outline("coordinates", "1,2,3 1,2")) == outlines.PROBLEM
    assert outlines.gml_positions(outline("posList", "1 2 3")) == outlines.PROBLEM
    assert outlines.extended_positions(outline("EXT_POS_LIST", "1 2 x")) == outlines.PROBLEM
