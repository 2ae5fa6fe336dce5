"""The STAC API as its clients and validators use it: pystac-client, stac-api-validator, jsonschema, schemathesis."""

import json
import os
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis
import stac_validator.utilities
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pystac.validation.local_validator import get_local_schema_cache
from pystac.validation.stac_validator import JsonSchemaSTACValidator
from pystac_client import Client
from referencing import Registry, Resource
from schemathesis import GenerationMode
from sqlalchemy import Engine
from stac_api_validator.validations import QueryConfig, validate_api
from stac_pydantic import Collection, Item
from stac_pydantic.api import ItemCollection, LandingPage
from tests.services.fuzzing import Fuzz, operations_of
from tests.services.stac_products import SQUARE, grd, some
from tests.services.stac_service import application, over_http

from refsys.services.distribution.publisher import publish
from refsys.services.distribution.stac.filter import COMPARISONS, SPATIAL
from refsys.services.distribution.stac.properties import PROPERTIES
from refsys.services.distribution.stac.temporal import FUNCTIONS

FUZZ_REQUESTS = int(os.environ.get("REFSYS_FUZZ_REQUESTS", "800"))
HEADERS = {"Authorization": "Bearer valid"}
CONFORMANCE = [
    "core", "collections", "features", "item-search", "item-search#fields", "item-search#sort", "item-search#filter",
    "features#fields", "features#sort", "features#filter", "filter",
]  # fmt: skip
CORE_SCHEMAS = get_local_schema_cache()

QUIET = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

Json = dict[str, Any]


@pytest.fixture
def published(engine: Engine) -> list[str]:
    """Twenty-five radar images, and one product of each other kind."""
    products = [*some(), *(grd(number) for number in range(1, 25))]
    for each in products:
        publish(engine, each)
    return [each.key_object_storage for each in products]


@pytest.fixture
def url(engine: Engine, published: list[str]) -> Iterator[str]:
    with over_http(engine) as address:
        yield address


def test_pystac_client(url: str, published: list[str]) -> None:
    client = Client.open(url, headers=HEADERS)
    assert {each.id for each in client.get_collections()} >= {"sentinel-1-grd", "sentinel-1-aux"}
    cloudy: Json = {"op": "<=", "args": [{"property": "eo:cloud_cover"}, 20]}
    for method, condition in (("GET", "eo:cloud_cover <= 20"), ("POST", cloudy)):
        search = client.search(
            method=method,
            collections=["sentinel-1-grd"],
            bbox=[1, 1, 2, 2],
            datetime="2024-01-01T00:00:00Z/2024-01-01T12:00:00Z",
            filter=condition,
            sortby="-properties.datetime",
            limit=4,
        )
        items = list(search.items())
        assert search.matched() == len(items) == 13
        assert [item.properties["eo:cloud_cover"] for item in items] == [float(number) for number in range(12, -1, -1)]
    collection = client.get_collection("sentinel-1-grd")
    assert collection is not None
    item = collection.get_item(items[0].id)
    assert item is not None
    assert (item.properties, item.geometry, item.bbox) == (items[0].properties, items[0].geometry, items[0].bbox)
    assert item.assets["product"].href.startswith("https://prip.example.test/odata/v1/Products(")
    everything = [item.id for item in client.search(limit=7, max_items=None).items()]
    assert sorted(everything) == sorted(published)


def offline(address: str, headers: Json | None = None) -> Json:
    """The schemas of STAC's core; extensions' schemas are on the internet only and pass as anything."""
    if address.startswith("https://stac-extensions.github.io/"):
        return {}
    return CORE_SCHEMAS[address.removesuffix("#")]


def test_stac_api_validator(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stac_validator.utilities, "fetch_and_parse_file", offline)
    monkeypatch.setattr(JsonSchemaSTACValidator, "_get_schema", lambda _, address: offline(address))
    stac_validator.utilities.fetch_and_parse_schema.cache_clear()
    none = dict.fromkeys(
        ["query_comparison_field", "query_eq_value", "query_neq_value", "query_lt_value", "query_lte_value",
         "query_gt_value", "query_gte_value", "query_substring_field", "query_starts_with_value",
         "query_ends_with_value", "query_contains_value", "query_in_field", "query_in_values"]
    )  # fmt: skip
    _, errors = validate_api(
        root_url=url,
        ccs_to_validate=CONFORMANCE,
        collection="sentinel-1-grd",
        geometry=json.dumps(SQUARE),
        auth_bearer_token="valid",
        auth_query_parameter=None,
        fields_nested_property="properties.eo:cloud_cover",
        validate_pagination=True,
        query_config=QueryConfig(**none),
        transaction_collection=None,
        headers=HEADERS,
        open_assets_urls=False,
    )
    assert "\n".join(map(str, errors)) == ""


def test_documents_satisfy_the_schemas_of_stac(engine: Engine, published: list[str]) -> None:
    resources = [(address, Resource.from_contents(schema)) for address, schema in CORE_SCHEMAS.items()]
    registry: Registry[Any] = Registry().with_resources(resources)
    base = "https://schemas.stacspec.org/v1.1.0/{0}-spec/json-schema/{0}.json"
    item_schema, collection_schema, catalog_schema = (
        jsonschema.Draft7Validator(CORE_SCHEMAS[base.format(kind)], registry=registry)
        for kind in ("item", "collection", "catalog")
    )
    with TestClient(application(engine), headers=HEADERS) as client:
        landing = client.get("/").json()
        catalog_schema.validate(landing)
        LandingPage.model_validate(landing)
        for collection in client.get("/collections").json()["collections"]:
            collection_schema.validate(collection)
            Collection.model_validate(collection)
        page = client.get("/search?limit=100").json()
        ItemCollection.model_validate(page)
        assert len(page["features"]) == len(published)
        for item in page["features"]:
            item_schema.validate(item)
            Item.model_validate(item)
            used = {name.partition(":")[0] for name in item["properties"] if ":" in name}
            declared = {address.split("/")[3] for address in item["stac_extensions"]}
            assert used - {"auth"} <= declared
            assert {"file", "timestamps", "authentication"} <= declared
        queryables = client.get("/queryables").json()
        jsonschema.Draft201909Validator.check_schema(queryables)


def told(body: Json) -> str:
    """What an error tells its reader."""
    assert set(body) == {"code", "description"}
    return str(body["description"])


def test_no_request_makes_the_service_fail(engine: Engine, published: list[str]) -> None:
    app = application(engine)
    operations = operations_of(schemathesis.openapi.from_asgi("/api", app))
    searches = [each for each in operations if each.path.endswith(("search", "items"))]
    share = round(FUZZ_REQUESTS / (2 * len(searches) + 2))
    with TestClient(app, headers=HEADERS, raise_server_exceptions=False) as client:
        fuzz = Fuzz(client, HEADERS, told)
        for operation in searches:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                fuzz.send(fuzz.operation(operation, mode), share)
        for operation in operations:
            if operation not in searches:  # no value is wrong for these
                fuzz.send(fuzz.operation(operation, GenerationMode.POSITIVE), share // 10)
        search = {"method": "POST", "url": "/search"}
        fuzz.send(filters().map(lambda case: search | {"json": {"filter": case}}), share)
        fuzz.send(texts().map(lambda case: search | {"method": "GET", "params": {"filter": case}}), share)
    assert fuzz.statuses.total() >= 0.8 * FUZZ_REQUESTS, fuzz.statuses
    assert {200, 400, 404} <= fuzz.statuses.keys()


def filters() -> st.SearchStrategy[Any]:
    """Filters in CQL2 JSON whose parts are well formed, their combination perhaps not."""
    names = st.sampled_from([*PROPERTIES, "nothing"]).map(lambda name: {"property": name})
    boxes = st.lists(st.floats(-181, 181), min_size=3, max_size=6).map(lambda numbers: {"bbox": numbers})
    point = st.tuples(st.floats(-181, 181), st.floats(-91, 91))
    shapes = st.one_of(
        st.builds(lambda at: {"type": "Point", "coordinates": at}, point),
        st.builds(lambda line: {"type": "LineString", "coordinates": line}, st.lists(point, max_size=5)),
        st.builds(lambda ring: {"type": "Polygon", "coordinates": [[*ring, *ring[:1]]]}, st.lists(point, max_size=5)),
    )
    dates = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
    constants = st.one_of(
        st.text(max_size=10), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none(),
        dates, dates.map(lambda date: {"timestamp": date}),
        st.tuples(dates, dates).map(lambda pair: {"interval": pair}),
        st.just({"interval": ["..", ".."]}), boxes, shapes,
    )  # fmt: skip
    values = st.one_of(names, constants, names.map(lambda name: {"op": "casei", "args": [name]}))
    two = st.sampled_from([*COMPARISONS, *SPATIAL, *FUNCTIONS, "like"])
    simple = st.one_of(
        st.builds(lambda name, *sides: {"op": name, "args": sides}, two, names, values),
        st.builds(lambda name, *sides: {"op": name, "args": sides}, two, values, values),
        st.builds(lambda *sides: {"op": "between", "args": sides}, names, constants, constants),
        st.builds(lambda *sides: {"op": "in", "args": sides}, names, st.lists(constants, max_size=4)),
        st.builds(lambda name: {"op": "isNull", "args": [name]}, values),
    )
    joined = st.sampled_from(["and", "or", "not"])
    return st.recursive(
        simple,
        lambda inner: st.builds(lambda name, parts: {"op": name, "args": parts}, joined, st.lists(inner, max_size=3)),
        max_leaves=5,
    )


def texts() -> st.SearchStrategy[str]:
    """Filters in CQL2 text: its words in any order."""
    words = st.sampled_from([
        "id", "datetime", "geometry", "eo:cloud_cover", "=", "<>", "<", "AND", "OR", "NOT", "(", ")", ",", "LIKE", "IN",
        "BETWEEN", "IS", "NULL", "'x%'", "'\\'", "12", "-1e400", "POINT(1 2)", "POLYGON((0 0,1 1,1 0,0 0))", "CASEI(",
        "S_INTERSECTS(", "T_AFTER(", "TIMESTAMP('2024-01-01T00:00:00Z')", "DATE('2024-13-01')", "INTERVAL('..',", "''",
        "true", '"x"', "BBOX(1,2,3,4)", "\u0000", "'\ud7ff'",
    ])  # fmt: skip
    sentences = st.sampled_from([
        "id = 'x' AND eo:cloud_cover < {}", "S_INTERSECTS(geometry, {})", "datetime > {}", "id LIKE {}", "{} = {}",
        "T_DURING(datetime, {})", "id IN ({}, {})", "NOT ({})", "eo:cloud_cover BETWEEN {} AND {}",
    ])  # fmt: skip
    filled = st.builds(lambda sentence, one, other: sentence.format(one, other), sentences, words, words)
    return st.one_of(filled, st.lists(words, max_size=8).map(" ".join))
