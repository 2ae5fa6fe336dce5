"""The PRIP over HTTPS on real PostgreSQL, S3 and Keycloak, used the way clients in the field use it."""

import hashlib
import os
import resource
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import Engine
from tests.means.certificates import Authority
from tests.means.processes import free_port
from tests.services.keycloak import PASSWORD, Keycloak
from tests.services.published import BUCKET, EPOCH, attributes, event

from refsys.services.common.operations import Health
from refsys.services.common.settings import OidcSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.app import create_app
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.odata.properties import ORDERABLE
from refsys.services.distribution.prip import serve
from refsys.services.distribution.publisher import publish
from refsys.services.distribution.repository import Products

pytest_plugins = ("tests.services.identity",)

PUBLIC_URL = "https://prip.example.test"
ATTRIBUTE = "Attributes/OData.CSC.{0}Attribute/any(att:att/Name eq '{1}' and att/OData.CSC.{0}Attribute/Value {2})"
MIXED_CASTS = (
    "Attributes/OData.CSC.IntegerAttribute/any("
    "att:att/Name eq 'cycleNumber' and att/OData.CSC.StringAttribute/Value eq 265)"
)
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
MIB = 2**20


@dataclass(frozen=True)
class Prip:
    """A running service and how to reach it."""

    url: str
    trusted: ssl.SSLContext
    keycloak: Keycloak
    health: Health

    def client(self, user: str | None = "demo") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keycloak.token(user)}"} if user else {}
        return httpx.Client(base_url=self.url, verify=self.trusted, headers=headers, timeout=60, trust_env=False)


@pytest.fixture
def prip(engine: Engine, store: ObjectStore, keycloak: Keycloak, authority: Authority) -> Iterator[Prip]:
    settings = OidcSettings.model_validate({"issuer": keycloak.issuer, "jwks_url": keycloak.keys_url})
    health, port = Health(), free_port()
    authenticator = Authenticator(settings, httpx.AsyncClient(trust_env=False))
    app = create_app(Products(engine), store, authenticator, PUBLIC_URL, health)
    certificate = authority.issue("prip")
    server = serve(app, certificate.certificate_file, certificate.key_file, port)
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.05)
    trusted = ssl.create_default_context(cafile=str(authority.ca_file))
    yield Prip(f"https://localhost:{port}", trusted, keycloak, health)
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def client(prip: Prip) -> Iterator[httpx.Client]:
    with prip.client() as client:
        yield client


@pytest.fixture
def five(engine: Engine) -> list[str]:
    """The names of five published products, in the order of publication."""
    products = [
        event("S1A_OPER_AUX_RESORB.EOF", b"1", 0),
        event("S1C_OPER_AUX_POEORB.EOF", b"22", 1, attributes=attributes(productType="AUX_POEORB", orbitNumber=7)),
        event("S2B_OPER_AUX_ECMWFD.TGZ", b"333", 2, attributes=attributes(productType="AUX_ECMWFD", cloudCover=1.5)),
        event("S3A_OL_1_EFR____.SEN3.zip", b"4444", 3, footprint=SQUARE, attributes=attributes(processingDate=EPOCH)),
        event("S1D it's odd.xml", b"55555", 4, attributes=attributes(cycleNumber=265, valid=True)),
    ]
    for each in products:
        publish(engine, each)
    return [each.key_object_storage for each in products]


def found(client: httpx.Client, text: str, **options: str) -> list[str]:
    answer = client.get("/odata/v1/Products", params={"$filter": text, **{f"${k}": v for k, v in options.items()}})
    assert answer.status_code == 200, answer.text
    return [product["Name"] for product in answer.json()["value"]]


FILTERS: list[tuple[str, set[int]]] = [
    ("Name eq 'S1A_OPER_AUX_RESORB.EOF'", {0}),
    ("Name ne 'S1A_OPER_AUX_RESORB.EOF'", {1, 2, 3, 4}),
    ("Name eq 'S1D it''s odd.xml'", {4}),
    ("Name in ('S1A_OPER_AUX_RESORB.EOF','nothing')", {0}),
    ("Name in ('nothing')", set()),
    ("startswith(Name,'S1')", {0, 1, 4}),
    ("startswith(Name,'S1_')", set()),
    ("contains(Name, 'AUX_')", {0, 1, 2}),
    ("not endswith(Name,'.EOF')", {2, 3, 4}),
    ("not(endswith(Name,'.EOF'))", {2, 3, 4}),
    ("not (endswith(Name,'.EOF')) and contains(Name,'_')", {2, 3}),
    ("indexof(Name,'OPER') eq 4", {0, 1, 2}),
    ("length(Name) lt 20", {4}),
    ("substring(Name,0,3) eq 'S1C'", {1}),
    ("substring(Name,4) eq 'OPER_AUX_RESORB.EOF'", {0}),
    ("matchesPattern(Name,'^S[12][A-C]_')", {0, 1, 2}),
    ("tolower(Name) eq 's1a_oper_aux_resorb.eof'", {0}),
    ("toupper(trim(concat(Name,' '))) eq 'S1D IT''S ODD.XML'", {4}),
    ("ContentLength ge 3 and ContentLength lt 5", {2, 3}),
    ("ContentLength gt 5000000000", set()),
    ("Online eq true", {0, 1, 2, 3, 4}),
    ("not Online", set()),
    ("ContentType eq 'application/octet-stream'", {0, 1, 2, 3, 4}),
    ("EvictionDate eq null", {0, 1, 2, 3, 4}),
    ("ProductionType eq OData.CSC.ProductionType'systematic_production'", {0, 1, 2, 3, 4}),
    ("ProductionType eq 'on_demand_default'", set()),
    ("PublicationDate gt 2020-01-01T00:00:00.000Z and PublicationDate lt 2100-01-01", {0, 1, 2, 3, 4}),
    ("OriginDate eq 2024-01-01T00:00:00Z", {0, 1, 2, 3, 4}),
    ("ContentDate/Start gt 2024-01-01T02:00:00.000Z", {3, 4}),
    ("ContentDate/Start ge 2024-01-01T01:00:00Z and ContentDate/End le 2024-01-01T03:00:00Z", {1, 2}),
    ("ContentDate/Start lt 2024-01-01T01:30:00Z and ContentDate/End gt 2024-01-01T00:30:00Z", {0, 1}),
    (ATTRIBUTE.format("String", "productType", "eq 'AUX_RESORB'"), {0}),
    (ATTRIBUTE.format("String", "productType", "ne 'AUX_RESORB'"), {1, 2}),
    ("not (" + ATTRIBUTE.format("String", "productType", "eq 'AUX_RESORB'") + ")", {1, 2, 3, 4}),
    (ATTRIBUTE.format("Integer", "orbitNumber", "ge 8"), {0}),
    (ATTRIBUTE.format("Integer", "orbitNumber", "in (7,8)"), {1}),
    (ATTRIBUTE.format("Double", "cloudCover", "lt 1.6"), {2}),
    (ATTRIBUTE.format("Boolean", "valid", "eq true"), {4}),
    (ATTRIBUTE.format("DateTimeOffset", "processingDate", "ge 2024-01-01T00:00:00.000Z"), {3}),
    (ATTRIBUTE.format("DateTimeOffset", "processingDate", "gt 2024-01-01T00:00:00.000Z"), set()),
    ("Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'productType' and contains(a/Value,'POE'))", {1}),
    # what clients send against the letter
    (ATTRIBUTE.format("Integer", "cycleNumber", "eq '265'"), {4}),
    (ATTRIBUTE.format("String", "cycleNumber", "eq '265'"), {4}),
    (MIXED_CASTS, {4}),
    ("StringAttributes/any(d:d/Name eq 'productType' and d/Value eq 'AUX_ECMWFD')", {2}),
    ("orbitNumber eq 7 OR cycleNumber eq 265", {1, 4}),
    ("\"Name eq 'S1A_OPER_AUX_RESORB.EOF' OR Name eq 'S1C_OPER_AUX_POEORB.EOF'\"", {0, 1}),
    ("Collection/Name eq 'SENTINEL-1'", {0, 1, 4}),
    # geography
    ("OData.CSC.Intersects(area=geography'SRID=4326;POLYGON((9 9,20 9,20 20,9 20,9 9))')", {3}),
    ("OData.CSC.Intersects(area=geography'SRID=4326;POINT (50 50)')", set()),
    ("OData.CSC.Within(area=geography'SRID=4326;POLYGON((-1 -1,11 -1,11 11,-1 11,-1 -1))')", {3}),
    ("OData.CSC.Disjoints(area=geography'SRID=4326;POINT(50 50)')", {3}),
    ("Intersects(location=Footprint,area=geography'SRID=4326;LINESTRING(-5 5,5 5)')", {3}),
]


def test_filters(client: httpx.Client, five: list[str]) -> None:
    expected = {text: [name for number, name in enumerate(five) if number in wanted] for text, wanted in FILTERS}
    assert {text: found(client, text) for text in expected} == expected


def test_malformed_queries(client: httpx.Client) -> None:
    for query, reason in {
        "$filter=Name eq": "position",
        "$filter=matchesPattern(Name,'[')": "matchesPattern",
        "$filter=Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'x' or a/Name eq 'y')": "exactly one",
        "$orderby=Nothing": "$orderby",
        "$top=x": "$top",
        "$select=Name": "$select",
    }.items():
        answer = client.get(f"/odata/v1/Products?{query}")
        assert answer.status_code == 400, query
        assert reason in answer.json()["error"]["message"], query


def test_a_product_to_the_letter(client: httpx.Client, engine: Engine) -> None:
    given = event("S1A_X.EOF", b"content", footprint=SQUARE, attributes=attributes(orbitNumber=5, processingDate=EPOCH))
    published = publish(engine, given).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    answer = client.get("/odata/v1/Products?$count=True&$expand=Attributes&$expand=Assets")
    assert answer.headers["OData-Version"] == "4.0"
    assert answer.json() == {
        "@odata.context": "$metadata#Products",
        "@odata.count": 1,
        "value": [
            {
                "@odata.mediaContentType": "application/octet-stream",
                "Id": str(given.product_id),
                "Name": "S1A_X.EOF",
                "ContentType": "application/octet-stream",
                "ContentLength": 7,
                "OriginDate": "2024-01-01T00:00:00.000Z",
                "PublicationDate": published,
                "EvictionDate": None,
                "Online": True,
                "Checksum": [
                    {
                        "Algorithm": "MD5",
                        "Value": "9a0364b9e99bb480dd25e1f0284c8555",
                        "ChecksumDate": "2024-01-01T00:00:00.000Z",
                    }
                ],
                "ProductionType": "systematic_production",
                "ContentDate": {"Start": "2024-01-01T00:00:00.000Z", "End": "2024-01-01T01:00:00.000Z"},
                "Footprint": "geography'SRID=4326;POLYGON((0 0,10 0,10 10,0 10,0 0))'",
                "GeoFootprint": SQUARE,
                "Attributes": [
                    {
                        "@odata.type": "#OData.CSC.IntegerAttribute",
                        "Name": "orbitNumber",
                        "ValueType": "Integer",
                        "Value": 5,
                    },
                    {
                        "@odata.type": "#OData.CSC.DateTimeOffsetAttribute",
                        "Name": "processingDate",
                        "ValueType": "DateTimeOffset",
                        "Value": "2024-01-01T00:00:00.000Z",
                    },
                ],
                "Assets": [],
            }
        ],
    }
    entity = client.get(f"/odata/v1/Products({given.product_id})").json()
    assert entity["@odata.context"] == "$metadata#Products/$entity"
    assert entity["Name"] == "S1A_X.EOF"
    attribute_set = client.get(f"/odata/v1/Products({given.product_id})/Attributes").json()
    assert attribute_set["value"] == answer.json()["value"][0]["Attributes"]


def test_empty_is_200(client: httpx.Client) -> None:
    answer = client.get("/odata/v1/Products?$count=true")
    assert (answer.status_code, answer.json()["value"], answer.json()["@odata.count"]) == (200, [], 0)


def test_encoded_dollars_and_spaces(client: httpx.Client, five: list[str]) -> None:
    for query in (
        "%24filter=Name%20eq%20%27S1A_OPER_AUX_RESORB.EOF%27&%24top=1",
        "$filter=Name+eq+'S1A_OPER_AUX_RESORB.EOF'",
    ):
        assert [each["Name"] for each in client.get(f"/odata/v1/Products?{query}").json()["value"]] == five[:1]
    assert client.get("/odata/v1/%24metadata").status_code == 200


def test_documents(client: httpx.Client) -> None:
    assert client.get("/odata/v1/").json()["value"][0]["name"] == "Products"
    assert client.get("/odata/v1").status_code == 200
    answer = client.get("/odata/v1/$metadata")
    assert answer.headers["Content-Type"].startswith("application/xml")
    assert b'Namespace="OData.CSC"' in answer.content


def test_pages_by_next_link(client: httpx.Client, five: list[str]) -> None:
    names: list[str] = []
    address = "/odata/v1/Products?$top=2&$orderby=Name desc&$filter=Online eq true"
    while address:
        body = client.get(address).json()
        names += [each["Name"] for each in body["value"]]
        following = urlsplit(body.get("@odata.nextLink", ""))
        assert not following.netloc or f"{following.scheme}://{following.netloc}" == PUBLIC_URL
        address = f"{following.path}?{following.query}" if following.path else ""
    assert names == sorted(five, reverse=True)


def test_orders(client: httpx.Client, five: list[str]) -> None:
    for name in ORDERABLE:
        rising = client.get(f"/odata/v1/Products?$orderby={name} asc").json()["value"]
        assert {each["Name"] for each in rising} == set(five), name
    assert found(client, "Online eq true", orderby="ContentLength desc") == five[::-1]


def test_count_alone(client: httpx.Client, five: list[str]) -> None:
    assert client.get("/odata/v1/Products/$count?$filter=startswith(Name,'S1')").text == "3"


def stored(engine: Engine, store: ObjectStore, name: str, content: bytes) -> str:
    store.put(BUCKET, name, [content], len(content))
    given = event(name, content)
    publish(engine, given)
    return f"/odata/v1/Products({given.product_id})/$value"


def test_download(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    content = os.urandom(3 * MIB + 17)
    address = stored(engine, store, "S1A_X.EOF", content)
    whole = client.get(address)
    assert whole.status_code == 200
    assert whole.content == content
    assert whole.headers["Content-Disposition"] == 'attachment; filename="S1A_X.EOF"'
    head = client.head(address)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(len(content)))
    assert head.headers["ETag"] == whole.headers["ETag"]


def test_ranges(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    content = os.urandom(10_000)
    address = stored(engine, store, "S1A_X.EOF", content)
    for wanted, part in {
        "bytes=0-0": slice(0, 1),
        "bytes=1000-1999": slice(1000, 2000),
        "bytes=9000-": slice(9000, None),
        "bytes=-100": slice(-100, None),
        "bytes=9990-99999": slice(9990, None),
    }.items():
        answer = client.get(address, headers={"Range": wanted})
        start = range(10_000)[part].start
        assert answer.status_code == 206
        assert answer.content == content[part]
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(answer.content) - 1}/10000"


def test_conditional_and_impossible_ranges(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    address = stored(engine, store, "S1A_X.EOF", b"0123456789")
    tag = client.head(address).headers["ETag"]
    modified = client.head(address).headers["Last-Modified"]
    status = {
        condition: client.get(address, headers={"Range": "bytes=5-", "If-Range": condition}).status_code
        for condition in (tag, modified, '"other"', "Mon, 01 Jan 2024 00:00:00 GMT", "rubbish")
    }
    assert list(status.values()) == [206, 206, 200, 200, 200]
    answer = client.get(address, headers={"Range": "bytes=10-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */10")
    assert client.get(address, headers={"Range": "bytes=0-1,3-4"}).content == b"0123456789"


def test_large_download_in_flat_memory(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    size, block = 256 * MIB, os.urandom(MIB)
    store.put(BUCKET, "S1A_LARGE.SAFE.zip", (block for _ in range(256)), size)
    given = event("S1A_LARGE.SAFE.zip", product_size_byte=size)
    publish(engine, given)
    expected, arrived = hashlib.sha256(), hashlib.sha256()
    for _ in range(256):
        expected.update(block)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with client.stream("GET", f"/odata/v1/Products({given.product_id})/$value") as answer:
        for chunk in answer.iter_bytes(MIB):
            arrived.update(chunk)
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert arrived.digest() == expected.digest()
    assert growth < 96 * MIB


def test_object_that_is_gone(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    address = stored(engine, store, "S1A_X.EOF", b"x")
    store.delete(BUCKET, "S1A_X.EOF")
    answer = client.get(address)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


def test_nothing_there(client: httpx.Client) -> None:
    unknown = "2b17b57d-fff4-4645-b539-91f305c27c69"
    for address, status in {
        f"/odata/v1/Products({unknown})": 404,
        f"/odata/v1/Products({unknown})/$value": 404,
        f"/odata/v1/Products({unknown})/Attributes": 404,
        "/odata/v1/Products(x)": 400,
        "/odata/v1/Sessions": 404,
        "/operations/v1/products/S1A_X.EOF/timeline": 404,
    }.items():
        answer = client.get(address)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"code", "message"}
    assert client.post("/odata/v1/Products").status_code == 405


def test_timeline(client: httpx.Client, engine: Engine) -> None:
    publish(engine, event("S1A_X.EOF"))
    body = client.get("/operations/v1/products/S1A_X.EOF/timeline").json()
    assert set(body["trace"]) == {"stationPublication", "seen", "stored", "catalogued", "published"}


def test_who_may_do_what(prip: Prip, engine: Engine, store: ObjectStore) -> None:
    value = stored(engine, store, "S1A_X.EOF", b"x")
    timeline = "/operations/v1/products/S1A_X.EOF/timeline"
    addresses = ["/odata/v1/", "/odata/v1/$metadata", "/odata/v1/Products", value, timeline]
    expected: dict[str | None, list[int]] = {
        None: [401] * 5,
        "nobody": [403] * 5,
        "reader": [200, 200, 200, 200, 403],
        "demo": [200] * 5,
    }
    for user, codes in expected.items():
        with prip.client(user) as client:
            answers = [client.get(address) for address in addresses]
        assert [answer.status_code for answer in answers] == codes
        if user is None:
            assert all("Bearer" in answer.headers["WWW-Authenticate"] for answer in answers)


def test_three_ways_to_authenticate(prip: Prip) -> None:
    with prip.client(None) as client:
        ways: list[dict[str, Any]] = [
            {"headers": {"Authorization": f"Bearer {prip.keycloak.token('reader')}"}},
            {"headers": {"OAUTH2-ACCESS-TOKEN": prip.keycloak.token("reader")}},
            {"auth": ("reader", PASSWORD)},
        ]
        assert [client.get("/odata/v1/Products", **way).status_code for way in ways] == [200, 200, 200]
        assert client.get("/odata/v1/Products", auth=("reader", "wrong")).status_code == 401
        assert client.get("/odata/v1/Products", headers={"Authorization": "Bearer x.y.z"}).status_code == 401


def test_probe_speaks_of_the_database(prip: Prip) -> None:
    until = time.monotonic() + 10
    while prip.health.unreadiness() and time.monotonic() < until:
        time.sleep(0.1)
    assert prip.health.unreadiness() is None
