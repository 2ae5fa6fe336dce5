"""Query options, JSON forms and byte ranges."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from lxml import etree

from refsys.services.distribution.download import byte_range
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.odata.metadata import metadata_document
from refsys.services.distribution.odata.query import next_link, read_set_query
from refsys.services.distribution.odata.serialise import attributes_json, footprint_text, timestamp


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
    assert read_set_query([("$expand", "Attributes"), ("$expand", "Assets")]).expand == {"Attributes", "Assets"}


def test_order_is_total() -> None:
    query = read_set_query([("$orderby", "ContentDate/Start desc, ContentLength")])
    assert [str(key).removeprefix("distribution.product.") for key in query.order] == [
        "content_start DESC",
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
        ("$select", "Name"),
        ("$format", "xml"),
    ],
)
def test_wrong_options_are_named(pair: tuple[str, str]) -> None:
    with pytest.raises(ODataError) as caught:
        read_set_query([pair])
    assert caught.value.status == 400
    assert pair[0] in caught.value.message


def test_next_link_keeps_the_options() -> None:
    pairs = [("$filter", "Name eq 'a b&c'"), ("$top", "10"), ("$skip", "20")]
    link = next_link("https://prip/odata/v1/Products", pairs, read_set_query(pairs))
    assert dict(parse_qsl(urlsplit(link).query)) == {"$filter": "Name eq 'a b&c'", "$top": "10", "$skip": "30"}


def test_formats() -> None:
    assert timestamp(datetime(2024, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)) == "2024-01-02T03:04:05.678Z"
    geojson = '{"type":"Polygon","coordinates":[[[0,0],[1.5,0],[1.5,1],[0,0]]]}'
    assert footprint_text(geojson) == "geography'SRID=4326;POLYGON((0 0,1.5 0,1.5 1,0 0))'"
    assert attributes_json({"orbitNumber": {"type": "Integer", "value": 5}}) == [
        {"@odata.type": "#OData.CSC.IntegerAttribute", "Name": "orbitNumber", "ValueType": "Integer", "Value": 5}
    ]


def test_metadata_is_the_prip_model() -> None:
    model = etree.fromstring(metadata_document())
    names = {element.get("Name") for element in model.iter("{*}EntityType", "{*}EntityContainer", "{*}EnumType")}
    assert {"Product", "Attribute", "DateTimeOffsetAttribute", "ProductionType", "PRIPData"} <= names


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
