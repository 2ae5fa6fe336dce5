"""Query options, JSON forms and byte ranges."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from refsys.services.distribution.download import byte_range
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.odata.paging import read_order
from refsys.services.distribution.odata.query import next_link, read_set_query
from refsys.services.distribution.odata.serialise import attributes_json, footprint_text, timestamp

MOMENT = datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def test_defaults() -> None:
    query = read_set_query([])
    assert (query.top, query.skip, query.count, query.condition) == (20, 0, False, None)
    assert [str(key) for key in query.order] == ["distribution.product.publication_date ASC"]


def test_pages_are_capped() -> None:
    assert read_set_query([("$top", "5000")]).top == 1000


@pytest.mark.parametrize("text", ["true", "True", "1"])
def test_count_as_clients_write_it(text: str) -> None:
    assert read_set_query([("$count", text)]).count


def test_expand_may_be_repeated() -> None:
    assert read_set_query([("$expand", "Attributes"), ("$expand", "Assets")]).shape.expand == {"Attributes", "Assets"}


def test_select_always_has_the_key() -> None:
    assert read_set_query([("$select", "Name,ContentDate/Start")]).shape.select == frozenset(
        {"Id", "Name", "ContentDate"}
    )
    assert read_set_query([("$select", "*")]).shape.select is None


def test_order_is_total() -> None:
    query = read_set_query([("$orderby", "ContentDate/Start desc, ContentLength")])
    assert [str(key).removeprefix("distribution.product.") for key in query.order] == [
        "content_start DESC NULLS LAST",
        "content_length ASC",
        "id ASC",
    ]


@pytest.mark.parametrize(
    "pair",
    [
        ("$top", "-1"),
        ("$top", "x"),
        ("$skip", "1.5"),
        ("$count", "maybe"),
        ("$orderby", "Footprint"),
        ("$orderby", "Name sideways"),
        ("$expand", "Nodes"),
        ("$select", "Nothing"),
        ("$search", "x"),
        ("$format", "xml"),
    ],
)
def test_wrong_options_are_named(pair: tuple[str, str]) -> None:
    with pytest.raises(ODataError) as caught:
        read_set_query([pair])
    assert caught.value.status == 400
    assert pair[0] in caught.value.message


def row(**values: Any) -> Any:
    return values


def test_next_link_keeps_the_options() -> None:
    pairs = [("$filter", "Name eq 'a b&c'"), ("$top", "10"), ("$skip", "20")]
    link = next_link("https://prip/odata/v1/Products", pairs, read_set_query(pairs), row(publication_date=MOMENT))
    options = dict(parse_qsl(urlsplit(link).query))
    token = options.pop("$skiptoken")
    assert options == {"$filter": "Name eq 'a b&c'", "$top": "10"}
    after = read_set_query([("$skiptoken", token)]).after
    assert after is not None
    assert MOMENT in after.compile().params.values()


def test_null_comes_before_all_values() -> None:
    rising, falling = read_order("EvictionDate"), read_order("EvictionDate desc")
    assert [str(key.order).rpartition(".")[2] for key in (rising[0], falling[0])] == [
        "eviction_date ASC NULLS FIRST",
        "eviction_date DESC NULLS LAST",
    ]
    assert str(rising[0].after(None)) == "distribution.product.eviction_date IS NOT NULL"
    assert "IS NULL" in str(falling[0].after(MOMENT))


@pytest.mark.parametrize(
    "wrong", ["", "x", "!!!!", "W10", "e30", "W1siUHVibGljYXRpb25EYXRlIGFzYyJdLCBbMV1d", "A" * 5000, "\u00e9"]
)
def test_tokens_of_another_query_are_refused(wrong: str) -> None:
    with pytest.raises(ODataError) as caught:
        read_set_query([("$skiptoken", wrong)])
    assert (caught.value.status, caught.value.target) == (400, "$skiptoken")


def test_far_pages_are_reached_by_link() -> None:
    with pytest.raises(ODataError) as caught:
        read_set_query([("$skip", "10001")])
    assert (caught.value.status, caught.value.target) == (422, "$skip")


def test_formats() -> None:
    assert timestamp(datetime(2024, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)) == "2024-01-02T03:04:05.678Z"
    geojson = '{"type":"Polygon","coordinates":[[[0,0],[1.5,0],[1.5,1],[0,0]]]}'
    assert footprint_text(geojson) == "geography'SRID=4326;POLYGON((0 0,1.5 0,1.5 1,0 0))'"
    assert footprint_text('{"type":"Point","coordinates":[-0.5,100]}') == "geography'SRID=4326;POINT(-0.5 100)'"
    several = '{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[1,1],[0,0]]],[[[5,5],[6,5],[6,6],[5,5]]]]}'
    assert footprint_text(several) == ("geography'SRID=4326;MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((5 5,6 5,6 6,5 5)))'")
    assert attributes_json({"orbitNumber": {"type": "Integer", "value": 5}}) == [
        {"@odata.type": "#OData.CSC.IntegerAttribute", "Name": "orbitNumber", "ValueType": "Integer", "Value": 5}
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=0-1,5-6", None),
        ("bytes=5-4", None),
        ("lines=0-1", None),
        ("bytes=-", None),
        ("bytes=" + "1" * 5000 + "-", None),
    ],
)
def test_ranges(header: str, expected: tuple[int, int] | None) -> None:
    assert byte_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=200-300", "bytes=-0"])
def test_ranges_outside(header: str) -> None:
    with pytest.raises(ODataError) as caught:
        byte_range(header, 100)
    assert caught.value.status == 416
    assert caught.value.headers["Content-Range"] == "bytes */100"
