"""Rules of the STAC API that need no database: filters as text, items, fields, boxes, hashes."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql

from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.stac import cql2_text, filter  # noqa: A004
from refsys.services.distribution.stac.fields import read
from refsys.services.distribution.stac.geometry import bounds, in_box
from refsys.services.distribution.stac.items import Addresses, item_json, multihash
from refsys.services.distribution.stac.properties import PROPERTIES, queryables

Json = dict[str, Any]
NOW = datetime(2024, 1, 1, tzinfo=UTC)
DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types


def test_and_binds_stronger_than_or() -> None:
    one, two, three = ({"op": "=", "args": [{"property": name}, 1]} for name in "abc")
    assert cql2_text.parse("a = 1 OR b = 1 AND c = 1") == {
        "op": "or",
        "args": [one, {"op": "and", "args": [two, three]}],
    }
    assert cql2_text.parse("(a=1 or b=1) and c=1") == {"op": "and", "args": [{"op": "or", "args": [one, two]}, three]}
    assert cql2_text.parse("NOT a = 1 AND b = 1") == {"op": "and", "args": [{"op": "not", "args": [one]}, two]}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("nothing = 'it''s'", {"op": "=", "args": [{"property": "nothing"}, "it's"]}),
        ('"order by" <> -1.5e3', {"op": "<>", "args": [{"property": "order by"}, -1500.0]}),
        ("a NOT IN (1, 2)", {"op": "not", "args": [{"op": "in", "args": [{"property": "a"}, [1, 2]]}]}),
        ("a BETWEEN 1 AND 2", {"op": "between", "args": [{"property": "a"}, 1, 2]}),
        ("a IS NOT NULL", {"op": "not", "args": [{"op": "isNull", "args": [{"property": "a"}]}]}),
        ("a > DATE('2024-01-01')", {"op": ">", "args": [{"property": "a"}, {"date": "2024-01-01"}]}),
        ("t_after(a, INTERVAL('..', '2024-01-01T00:00:00Z'))",
         {"op": "t_after", "args": [{"property": "a"}, {"interval": ["..", "2024-01-01T00:00:00Z"]}]}),
        ("S_WITHIN(g, MULTIPOINT((1 2),(3 4)))",
         {"op": "s_within", "args": [{"property": "g"}, {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}]}),
    ],
)  # fmt: skip
def test_text_becomes_json(text: str, wanted: Json) -> None:
    assert cql2_text.parse(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "a =", "= 1", "a = 1 AND", "a == 1", "a = 'x", "a IN ()", "(" * 20, "POLYGON((1)) = a"]
)
def test_text_that_is_no_filter(text: str) -> None:
    with pytest.raises(ODataError) as caught:
        cql2_text.parse(text)
    assert caught.value.status == 400
    assert caught.value.message.startswith("filter: ")


def test_constants_of_a_filter_are_parameters() -> None:
    evil = "x'; DROP TABLE product; --"
    text = evil.replace("'", "''")
    for parsed in (f"id = '{text}'", f"id LIKE '{text}'", f"orbitDirection IN ('{text}')", f"timeliness = '{text}'"):
        statement = filter.where(cql2_text.parse(parsed)).compile(dialect=DIALECT)
        assert "DROP" not in str(statement)


def test_every_queryable_becomes_sql() -> None:
    for name in PROPERTIES:
        condition = filter.where({"op": "isNull", "args": [{"property": name}]})
        assert "IS NULL" in str(condition.compile(dialect=DIALECT))
    assert set(queryables("https://x")["properties"]) == set(PROPERTIES)


def row(**attributes: object) -> Json:
    kinds = {str: "String", int: "Integer", float: "Double"}
    return {
        "id": UUID(int=1),
        "name": "a b.EOF",
        "collection": "sentinel-3-aux",
        "mission": "S3",
        "content_type": "text/xml",
        "content_length": 1,
        "publication_date": NOW,
        "eviction_date": NOW,
        "content_start": NOW,
        "content_end": NOW,
        "checksums": [],
        "footprint": None,
        "product_type": None,
        "attributes": {name: {"type": kinds[type(value)], "value": value} for name, value in attributes.items()},
    }


def properties(**attributes: object) -> Json:
    found: Json = item_json(row(**attributes), Addresses("https://s", "https://p", "https://i"))["properties"]
    return found


def test_what_an_extension_does_not_allow_is_left_out() -> None:
    assert "sat:absolute_orbit" not in properties(orbitNumber=0)
    assert "sat:orbit_state" not in properties(orbitDirection="SIDEWAYS")
    assert "eo:cloud_cover" not in properties(cloudCover=-1.0)
    assert properties(instrumentConfigurationID=6)["instrumentConfigurationID"] == 6
    radar = properties(operationalMode="IW", polarisationChannels="VV")
    assert radar["operationalMode"] == "IW"
    assert "sar:instrument_mode" not in radar


def test_a_timeliness_without_a_duration_keeps_its_own_name() -> None:
    assert properties(timeliness="NT")["product:timeliness"] == "P30D"
    unknown = properties(timeliness="Off-line")
    assert unknown["timeliness"] == "Off-line"
    assert "product:timeliness_category" not in unknown


def test_names_are_escaped_in_links_only() -> None:
    item = item_json(row(), Addresses("https://s", "https://p", "https://i"))
    assert item["id"] == "a b.EOF"
    assert item["links"][0]["href"] == "https://s/collections/sentinel-3-aux/items/a%20b.EOF"
    assert item["properties"]["expires"] == "2024-01-01T00:00:00.000Z"


def test_multihash_of_the_strongest_checksum() -> None:
    md5, sha = {"algorithm": "MD5", "value": "AB" * 16}, {"algorithm": "SHA-256", "value": "cd" * 32}
    assert multihash([md5, sha]) == "1220" + "cd" * 32
    assert multihash([md5]) == "d50110" + "ab" * 16
    assert multihash([{"algorithm": "MD5", "value": "short"}, {"algorithm": "CRC", "value": "00"}]) is None


def test_fields_include_and_exclude() -> None:
    item = {
        "id": "x",
        "type": "Feature",
        "properties": {"datetime": "d", "a.b": 1, "c": 2},
        "assets": {"product": {"href": 1}},
    }
    assert read([]) is None
    chosen = read(["properties.a.b", "-assets"])
    assert chosen is not None
    assert chosen.apply(item) == {"id": "x", "type": "Feature", "properties": {"a.b": 1}}
    without = read(["-properties.c", "-nothing.at.all"])
    assert without is not None
    assert without.apply(item)["properties"] == {"datetime": "d", "a.b": 1}
    assert item["properties"] == {"datetime": "d", "a.b": 1, "c": 2}


def ring(west: float, east: float) -> list[list[list[float]]]:
    return [[[west, 0], [east, 0], [east, 1], [west, 0]]]


def test_boxes_of_footprints() -> None:
    def parts(*polygons: list[list[list[float]]]) -> Json:
        return {"type": "MultiPolygon", "coordinates": list(polygons)}

    assert bounds({"type": "Polygon", "coordinates": ring(1, 2)}) == [1, 0, 2, 1]
    assert bounds(parts(ring(1, 2), ring(5, 6))) == [1, 0, 6, 1]
    assert bounds(parts(ring(175, 180), ring(-180, -178))) == [175, 0, -178, 1]
    assert bounds(parts(ring(-180, 180), ring(0, 1))) == [-180, 0, 180, 1]


@pytest.mark.parametrize("box", [[], [1, 2, 3], [1, 2, 3, "4"], [0, 0, 181, 1], [0, 5, 1, 4], [float("nan"), 0, 1, 1]])
def test_boxes_that_are_none(box: list[Any]) -> None:
    with pytest.raises(ODataError) as caught:
        in_box(box)
    assert caught.value.status == 400
