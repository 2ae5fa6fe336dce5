"""The STAC API on real PostgreSQL: items, collections, searches, filters, order, pages."""

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from sqlalchemy import Engine, text
from tests.services.published import event
from tests.services.stac_products import GRD, SQUARE, grd, some
from tests.services.stac_service import ADDRESSES, application

from refsys.services.distribution.publisher import publish
from refsys.services.distribution.stac.collections import TITLES
from refsys.services.distribution.stac.filter import SPATIAL

JSON = {"Content-Type": "application/json"}

Json = dict[str, Any]


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with TestClient(application(engine), headers={"Authorization": "Bearer valid"}) as client:
        yield client


@pytest.fixture
def published(engine: Engine) -> list[str]:
    """The names of published products, one of each kind, in the order of publication."""
    products = some()
    for each in products:
        publish(engine, each)
    return [each.key_object_storage for each in products]


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["features"]]


def test_an_item_to_the_letter(client: TestClient, engine: Engine) -> None:
    given = grd()
    moment = publish(engine, given).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    answer = client.get(f"/collections/sentinel-1-grd/items/{GRD}")
    assert answer.headers["content-type"] == "application/geo+json"
    own = f"{ADDRESSES.stac}/collections/sentinel-1-grd"
    item = answer.json()
    assert item.pop("stac_extensions")
    assert item == {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": GRD,
        "collection": "sentinel-1-grd",
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]},
        "bbox": [0, 0, 10, 10],
        "properties": {
            "datetime": "2024-01-01T00:00:00.000Z",
            "start_datetime": "2024-01-01T00:00:00.000Z",
            "end_datetime": "2024-01-01T01:00:00.000Z",
            "created": moment,
            "updated": moment,
            "published": moment,
            "mission": "sentinel-1",
            "constellation": "sentinel-1",
            "platform": "sentinel-1a",
            "instruments": ["sar"],
            "sat:absolute_orbit": 51_000,
            "sat:relative_orbit": 37,
            "sat:orbit_cycle": 300,
            "sat:orbit_state": "ascending",
            "eo:cloud_cover": 0.0,
            "sar:instrument_mode": "IW",
            "sar:frequency_band": "C",
            "sar:polarizations": ["VH", "VV"],
            "processing:level": "1",
            "processing:version": "003.71",
            "processing:facility": "Production Service-SERCO",
            "processing:datetime": "2024-01-01T00:00:00.000Z",
            "processing:software": {"Sentinel-1 IPF": "003.71"},
            "product:type": "IW_GRDH_1S",
            "product:timeliness_category": "NRT-3h",
            "product:timeliness": "PT3H",
            "sliceNumber": 4,
            "auth:schemes": {
                "openid": {
                    "type": "openIdConnect",
                    "openIdConnectUrl": f"{ADDRESSES.issuer}/.well-known/openid-configuration",
                }
            },
        },
        "links": [
            {"rel": "self", "type": "application/geo+json", "href": f"{own}/items/{GRD}"},
            {"rel": "parent", "type": "application/json", "href": own},
            {"rel": "collection", "type": "application/json", "href": own},
            {"rel": "root", "type": "application/json", "href": f"{ADDRESSES.stac}/"},
        ],
        "assets": {
            "product": {
                "href": f"{ADDRESSES.prip}/odata/v1/Products({given.product_id})/$value",
                "title": GRD,
                "type": "application/zip",
                "roles": ["data"],
                "file:size": 0,
                "file:local_path": GRD,
                "auth:refs": ["openid"],
                "file:checksum": "d50110d41d8cd98f00b204e9800998ecf8427e",
            }
        },
    }


def test_auxiliary_data_has_no_geometry(client: TestClient, published: list[str]) -> None:
    item = client.get(f"/collections/sentinel-1-aux/items/{published[0]}").json()
    assert item["geometry"] is None
    assert "bbox" not in item


def test_a_footprint_over_the_dateline(client: TestClient, published: list[str]) -> None:
    item = client.get(f"/collections/sentinel-3-olci-l1/items/{published[4]}").json()
    assert item["bbox"] == [175, 0, -178, 10]
    for box, found in {"170,1,-179,2": [published[4]], "-179,1,-170,2": [published[4]], "-170,1,170,2": [GRD]}.items():
        assert names(client.get("/search", params={"bbox": box})) == found


def test_collections_come_from_the_data(client: TestClient, published: list[str]) -> None:
    answer = client.get("/collections").json()
    found = {each["id"]: each for each in answer["collections"]}
    assert list(found) == [
        "sentinel-1-aux", "sentinel-1-grd", "sentinel-1-plans", "sentinel-2-l2a", "sentinel-3-olci-l1",
    ]  # fmt: skip
    assert found["sentinel-2-l2a"]["extent"]["temporal"]["interval"] == [["2024-01-01T02:00:00.000Z", None]]
    assert client.get("/collections/sentinel-2-l2a").json() == found["sentinel-2-l2a"]
    answer = client.get("/collections/sentinel-2-l2a/items")
    assert names(answer) == [published[3]]
    for path in ("/collections/none", "/collections/none/items", "/collections/none/queryables"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.json() == {"code": "NotFound", "description": "there is no collection 'none'"}
    assert client.get(f"/collections/sentinel-2-l2a/items/{GRD}").status_code == 404


TYPES = {
    ("S1", "IW_RAW__0S"): "sentinel-1-raw",
    ("S1", "S3_SLC__1S"): "sentinel-1-slc",
    ("S1", "EW_GRDM_1S"): "sentinel-1-grd",
    ("S1", "WV_OCN__2S"): "sentinel-1-ocn",
    ("S1", "IW_ETA__AX"): "sentinel-1-etad",
    ("S1", "AUX_POEORB"): "sentinel-1-aux",
    ("S1", "MPL_ORBPRE"): "sentinel-1-aux",
    ("S1", "MPL_ORBOEM"): "sentinel-1-plans",
    ("S1", "REP__SUP__"): "sentinel-1-plans",
    ("S2", "MSI_L0__GR"): "sentinel-2-l0",
    ("S2", "MSIL1C"): "sentinel-2-l1c",
    ("S2", "MSI_L2A_DS"): "sentinel-2-l2a",
    ("S2", "PRD_HKTM__"): "sentinel-2-hktm",
    ("S2", "AUX_SADATA"): "sentinel-2-aux",
    ("S3", "SL_1_PCP_AX"): "sentinel-3-aux",
    ("S3", "AX___BA__AX"): "sentinel-3-aux",
    ("S3", "SL_2_LST___"): "sentinel-3-slstr-l2",
    ("S3", None): "sentinel-3-aux",
}


def test_each_type_has_its_collection(engine: Engine) -> None:
    with engine.connect() as connection:
        for (mission, product_type), wanted in TYPES.items():
            statement = text("SELECT distribution.collection_of(:mission, :type)")
            assert connection.scalar(statement, {"mission": mission, "type": product_type}) == wanted
        definition = str(connection.scalar(text("SELECT prosrc FROM pg_proc WHERE proname = 'collection_of'")))
    assert {part.partition("'")[0] for part in definition.split("THEN '")[1:]} <= set(TITLES)


# Filters in CQL2 text, and the products that satisfy them by their place in `some`.
FILTERS: dict[str, set[int]] = {
    f"id = '{GRD}'": {2},
    f"'{GRD}' = id": {2},
    "id = 'S1D it''s odd.xml'": {5},
    f"id <> '{GRD}'": {0, 1, 3, 4, 5},
    "id LIKE 'S1A%'": {0, 1, 2},
    "id LIKE 'S__\\_OPER%'": {0, 1},
    "id NOT LIKE 'S1%'": {3, 4},
    "CASEI(id) LIKE casei('%RESORB.eof')": {0},
    "CASEI(\"product:type\") = CASEI('aux_resorb')": {0},
    "id IN ('S1A_OPER_AUX_RESORB.EOF', 'nothing')": {0},
    "collection = 'sentinel-1-aux'": {0, 5},
    "collection = 'sentinel-1-aux' OR collection = 'sentinel-1-plans' AND id LIKE 'S2%'": {0, 5},
    "(collection = 'sentinel-1-aux' OR collection = 'sentinel-1-plans') AND id LIKE 'S1A%'": {0, 1},
    "NOT (collection = 'sentinel-1-aux' OR collection = 'sentinel-1-plans')": {2, 3, 4},
    "mission = 'sentinel-1' AND platform = 'sentinel-1a'": {2},
    "platform IN ('sentinel-1a', 'sentinel-2b')": {2, 3},
    "eo:cloud_cover >= 5 AND eo:cloud_cover < 13": {3},
    "eo:cloud_cover = 12.5": {3},
    "NOT eo:cloud_cover = 12.5": {2},
    "eo:cloud_cover <> 12.5": {2},
    "eo:cloud_cover BETWEEN 0 AND 12.5": {2, 3},
    "eo:cloud_cover NOT BETWEEN 0 AND 12": {3},
    "eo:cloud_cover IS NULL": {0, 1, 4, 5},
    "eo:cloud_cover IS NOT NULL": {2, 3},
    "sat:absolute_orbit = 51000 AND sat:relative_orbit IN (36, 37)": {2},
    "orbitNumber = 51000": {2},
    "sat:orbit_state = 'ascending'": {2},
    "grid:code = 'MGRS-32TQM'": {3},
    "grid:code LIKE 'MGRS-32%'": {3},
    "grid:code = '32TQM'": set(),
    "sar:instrument_mode = 'IW'": {2},
    "processing:datetime = '2024-01-01T00:00:00Z'": {2},
    "product:type = 'OL_1_EFR___'": {4},
    "properties.cycleNumber = 265": {5},
    "file:size > 3": {4, 5},
    "datetime > TIMESTAMP('2024-01-01T02:00:00Z')": {4, 5},
    "datetime < DATE('2024-01-01')": set(),
    "end_datetime <= TIMESTAMP('2024-01-01T03:00:00+01:00')": {0, 1, 2},
    "start_datetime < end_datetime": {0, 1, 2, 3, 4, 5},
    "T_INTERSECTS(datetime, INTERVAL('2024-01-01T02:00:00Z', '2024-01-01T03:00:00Z'))": {3, 4},
    "T_AFTER(datetime, TIMESTAMP('2024-01-01T03:00:00Z'))": {5},
    "T_DURING(INTERVAL(start_datetime, end_datetime), INTERVAL('..', '2024-01-01T02:30:00Z'))": {0, 1, 2},
    "S_INTERSECTS(geometry, POLYGON((9 9,20 9,20 20,9 20,9 9)))": {2, 3},
    "S_INTERSECTS(geometry, BBOX(176, 1, -179, 2))": {4},
    "S_WITHIN(geometry, POLYGON((-1 -1,11 -1,11 11,-1 11,-1 -1)))": {2},
    "S_CONTAINS(geometry, POINT(5 5))": {2},
    "S_DISJOINT(geometry, POINT(5 5))": {3, 4},
    "true": {0, 1, 2, 3, 4, 5},
    "false OR id LIKE 'S3%'": {4},
}


def test_filters(client: TestClient, published: list[str]) -> None:
    expected = {text: {published[number] for number in wanted} for text, wanted in FILTERS.items()}
    assert {text: set(names(client.get("/search", params={"filter": text}))) for text in expected} == expected


def test_filters_in_json(client: TestClient, published: list[str]) -> None:
    cover: Json = {"property": "eo:cloud_cover"}
    point = {"type": "Point", "coordinates": [5, 5]}
    for condition, wanted in (
        ({"op": "between", "args": [cover, 0, 5]}, {2}),
        ({"op": "between", "args": [cover, [0, 5]]}, {2}),
        ({"op": "isNull", "args": [cover]}, {0, 1, 4, 5}),
        ({"op": "in", "args": [{"property": "id"}, [published[0], published[4]]]}, {0, 4}),
        ({"op": "s_intersects", "args": [{"property": "geometry"}, point]}, {2}),
        ({"op": ">=", "args": [{"property": "datetime"}, {"timestamp": "2024-01-01T03:00:00Z"}]}, {4, 5}),
        ({"op": "not", "args": [{"op": "=", "args": [{"property": "mission"}, "sentinel-1"]}]}, {3, 4}),
    ):
        found = {published[number] for number in wanted}
        assert set(names(client.post("/search", json={"filter": condition}))) == found, condition
        query = {"filter": json.dumps(condition), "filter-lang": "cql2-json"}
        assert set(names(client.get("/search", params=query))) == found, condition


def test_searches_without_a_filter(client: TestClient, published: list[str]) -> None:
    for body, wanted in (
        ({"ids": [published[0], "nothing"]}, [0]),
        ({"collections": ["sentinel-1-grd", "sentinel-2-l2a"]}, [3, 2]),
        ({"bbox": [-5, -5, 5, 5]}, [2]),
        ({"bbox": [-5, -5, 0, 5, 5, 100]}, [2]),
        ({"intersects": {"type": "LineString", "coordinates": [[5, 5], [20.5, 20.5]]}}, [3, 2]),
        ({"datetime": "2024-01-01T03:30:00Z"}, [4]),
        ({"datetime": "2024-01-01T02:30:00Z/2024-01-01T03:30:00Z"}, [4, 3]),
        ({"datetime": "../2024-01-01T00:30:00Z"}, [0, 2]),
        ({"datetime": "2024-01-01T04:30:00Z/.."}, [5]),
        ({"datetime": "2030-01-01T00:00:00Z/.."}, []),
        ({"limit": 2, "sortby": [{"field": "file:size", "direction": "desc"}]}, [5, 4]),
        ({"sortby": [{"field": "properties.eo:cloud_cover", "direction": "asc"}], "limit": 2}, [2, 3]),
    ):
        assert names(client.post("/search", json=body)) == [published[number] for number in wanted], body
    answer = client.get("/search", params={"intersects": json.dumps({"type": "Point", "coordinates": [5, 5]})})
    assert names(answer) == [GRD]


ORDERS = [
    "",
    "+datetime",
    "-published",
    "id",
    "-id",
    "eo:cloud_cover",
    "-eo:cloud_cover,platform,-datetime",
    "collection",
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_hold_each_item_once(client: TestClient, engine: Engine, order: str, method: str) -> None:
    for number in range(7):
        publish(engine, grd(number))
    publish(engine, event("S1A_OPER_AUX_RESORB.EOF", b"1", 3))
    publish(engine, event("S1A_OPER_AUX_POEORB.EOF", b"1", 3))
    whole = names(client.get("/search", params={"sortby": order} if order else {}))
    assert len(set(whole)) == 9
    keys = [
        {"field": key.lstrip("+-"), "direction": "desc" if key[0] == "-" else "asc"} for key in order.split(",") if key
    ]
    if method == "GET":
        answer = client.get("/search", params={"limit": 2} | ({"sortby": order} if order else {}))
    else:
        answer = client.post("/search", json={"limit": 2} | ({"sortby": keys} if order else {}))
    found = names(answer)
    for number in range(20):
        if number < 6:  # products arrive while the client reads
            publish(engine, event(f"S1B_OPER_AUX_{number}.EOF", b"1", number))
        following = [link for link in answer.json()["links"] if link["rel"] == "next"]
        if not following:
            break
        path = following[0]["href"].removeprefix(ADDRESSES.stac)
        answer = client.get(path) if method == "GET" else client.post(path, json=following[0]["body"])
        found += names(answer)
    assert len(found) == len(set(found))
    assert [name for name in found if name in whole] == whole


def test_a_token_fits_its_search_only(client: TestClient, published: list[str]) -> None:
    link = client.get("/search", params={"limit": 1}).json()["links"][-1]["href"]
    token = httpx.URL(link).params["token"]
    for wrong in ("x", "", "%%%", base64.b64encode(b"[[],[]]").decode(), token[:-4], "A" * 5000):
        answer = client.get("/search", params={"token": wrong})
        assert answer.status_code == 400, wrong
        assert answer.json()["description"].startswith("token: "), wrong
    assert client.get("/search", params={"token": token, "sortby": "id"}).status_code == 400


def test_matches_are_counted_when_asked(client: TestClient, published: list[str]) -> None:
    assert "numberMatched" not in client.get("/search").json()
    assert client.get("/search", params={"count": "true", "limit": 2}).json()["numberMatched"] == 6
    assert client.post("/search", json={"count": True, "collections": ["sentinel-1-aux"]}).json()["numberMatched"] == 2
    assert client.get("/search", params={"limit": 1}).json()["numberMatched"] == 6
    assert "numberMatched" not in client.get("/search", params={"limit": 1, "count": "false"}).json()


def test_fields(client: TestClient, published: list[str]) -> None:
    def item(**query: str) -> Json:
        found: Json = client.get("/search", params={"ids": GRD, **query}).json()["features"][0]
        return found

    always = {"type", "stac_version", "id", "collection"}
    assert set(item(fields="properties.sat:absolute_orbit")) == always | {"properties"}
    assert item(fields="properties.sat:absolute_orbit")["properties"] == {"sat:absolute_orbit": 51_000}
    assert set(item(fields="geometry,properties,-geometry")) == always | {"geometry", "properties"}
    assert "sar:polarizations" not in item(fields="-properties.sar:polarizations")["properties"]
    assert "sar:instrument_mode" in item(fields="-properties.sar:polarizations")["properties"]
    assert len(item(fields="properties")["properties"]) > 20
    body = {"ids": [GRD], "fields": {"include": ["id"], "exclude": ["assets"]}}
    assert "assets" not in client.post("/search", json=body).json()["features"][0]
    assert client.post("/search", json={"fields": None}).status_code == 400


WRONG = {
    "filter=id": "filter: id is not true or false",
    "filter=nothing%20=%201": "filter: 'nothing' is not among the queryables",
    "filter=id%20=%201": "filter: id is a text",
    "filter=eo:cloud_cover%20=%20'x'": "filter: eo:cloud_cover is a number",
    "filter=geometry%20=%201": "filter: geometry is a geometry",
    "filter=id%20=": "filter: is not CQL2 text at position",
    "filter=S_INTERSECTS(geometry,POINT(500%201))": "filter: longitudes are",
    "filter=frobnicate(id)": "filter: the operation 'frobnicate' is not supported",
    "filter=(((((((((": "filter: is not CQL2 text",
    "filter=id='x'&filter-crs=EPSG:3857": "filter-crs: only",
    "filter={&filter-lang=cql2-json": "filter: is not JSON",
    "filter=3&filter-lang=cql2-json": "filter: a condition has the form",
    "filter-lang=xml": "query.filter-lang: ",
    "bbox=1,2,3": "BBox",
    "bbox=nan,2,3,4": "bbox: ",
    "bbox=0,5,10,-5": "bbox: latitudes",
    "bbox=0,0,1,1&intersects={}": "intersects: cannot be combined",
    "intersects=x": "intersects: is not JSON",
    'intersects={"type":"Point"}': "intersects: is not a GeoJSON geometry",
    "datetime=2024-01-01": "Invalid RFC3339",
    "limit=0": "query.limit: ",
    "limit=x": "query.limit: ",
    "sortby=nothing": "sortby: 'nothing' is not among the queryables",
    "sortby=geometry": "sortby: geometry has no order",
    "sortby=id,id,id,id,id,id": "sortby: has 6 keys",
    "sortby=datetime,-datetime": "sortby: names datetime twice",
    "ids=%00": "ids: has a character",
}


def test_wrong_parameters_are_answered_400(client: TestClient, published: list[str]) -> None:
    for query, reason in WRONG.items():
        answer = client.get(f"/search?{query}")
        assert answer.status_code == 400, query
        assert reason in answer.json()["description"], (query, answer.json())


def test_deep_filters_and_large_bodies_are_refused(client: TestClient) -> None:
    deep: Json = {"op": "=", "args": [{"property": "id"}, "x"]}
    for _ in range(400):
        deep = {"op": "not", "args": [deep]}
    assert client.post("/search", json={"filter": deep}).status_code in {200, 400}
    nested = '{"op":"not","args":[' * 3000 + "true" + "]}" * 3000
    assert client.post("/search", content=f'{{"filter":{nested}}}', headers=JSON).status_code == 400
    assert client.get("/search", params={"filter": "(" * 5000 + "id='x'" + ")" * 5000}).status_code in {200, 400}
    answer = client.post("/search", content=b" " * (2 << 20))
    assert (answer.status_code, answer.json()["code"]) == (413, "ContentTooLarge")


def test_shapes_and_texts_that_the_database_does_not_take(client: TestClient, published: list[str]) -> None:
    point = {"type": "Point", "coordinates": [5, 5]}
    collection = {"type": "GeometryCollection", "geometries": [point, SQUARE]}
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [9, 9], [9, 0], [0, 9], [0, 0]]]}
    for name in SPATIAL:
        for shape in (collection, bow):
            condition = {"op": name, "args": [{"property": "geometry"}, shape]}
            assert client.post("/search", json={"filter": condition}).status_code in {200, 400}, name
    assert names(client.post("/search", json={"intersects": bow})) == [GRD]
    for pattern in ("S1A\\", "%\\"):  # an escape of nothing
        answer = client.get("/search", params={"filter": f"id LIKE '{pattern}'"})
        assert answer.status_code in {200, 400}
        assert answer.status_code == 200 or answer.json()["description"].startswith("filter: LIKE ")
    for body in (r'{"fields":{"include":["\ud800"]}}', r'{"filter":{"op":"=","args":[{"property":"id"},"\ud800"]}}'):
        assert client.post("/search", content=body, headers=JSON).status_code == 400
    for body in ('{"filter":' + "9" * 5000 + "}", "[]", "3", "null", "x", '{"bbox":[NaN,1,2,3]}'):
        for headers in ({}, JSON):
            assert client.post("/search", content=body, headers=headers).status_code == 400, body


def test_links_do_not_repeat_what_a_client_calls_the_host(client: TestClient, published: list[str]) -> None:
    answer = client.get("/search?limit=1", headers={"Host": "evil.test", "X-Forwarded-Host": "evil.test"})
    assert "evil" not in answer.text
    assert "evil" not in client.get("/", headers={"Host": "evil.test"}).text
    assert client.get("/").json()["links"][0]["href"] == f"{ADDRESSES.stac}/"


def test_only_users_may_read(engine: Engine, published: list[str]) -> None:
    with TestClient(application(engine)) as nobody:
        for path in ("/", "/collections", "/search", "/conformance", "/queryables"):
            answer = nobody.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["WWW-Authenticate"].startswith("Bearer"), path
            assert set(answer.json()) == {"code", "description"}
        assert nobody.get("/search", headers={"Authorization": "Bearer powerless"}).status_code == 403
        assert nobody.get("/api").headers["content-type"].startswith("application/vnd.oai.openapi+json")


def test_the_application_is_ready_while_the_database_answers(engine: Engine) -> None:
    app = application(engine)
    ready = threading.Event()
    app.state.health.ready = ready.set
    with TestClient(app):
        assert ready.wait(10)


def test_requests_are_counted_by_route(client: TestClient, published: list[str]) -> None:
    def counted() -> float:
        labels = {"route": "/collections/{collection_id}", "method": "GET", "status": "200"}
        return REGISTRY.get_sample_value("refsys_stac_request_seconds_count", labels) or 0

    before = counted()
    client.get("/collections/sentinel-1-grd")
    assert counted() == before + 1
