"""The PRIP's documents, entities and errors, to the letter of its interface document."""

import time

import httpx
import pytest
from sqlalchemy import Engine
from tests.services.prip import SQUARE, Prip, found
from tests.services.published import EPOCH, attributes, event

from refsys.services.distribution.publisher import publish

pytest_plugins = ("tests.services.prip",)


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
        assert {"code", "message"} <= set(answer.json()["error"])
    assert client.post("/odata/v1/Products").status_code == 405


def test_timeline(client: httpx.Client, engine: Engine) -> None:
    publish(engine, event("S1A_X.EOF"))
    body = client.get("/operations/v1/products/S1A_X.EOF/timeline").json()
    assert set(body["trace"]) == {"stationPublication", "seen", "stored", "catalogued", "published"}


def test_probe_speaks_of_the_database(prip: Prip) -> None:
    until = time.monotonic() + 10
    while prip.health.unreadiness() and time.monotonic() < until:
        time.sleep(0.1)
    assert prip.health.unreadiness() is None


def test_select(client: httpx.Client, five: list[str]) -> None:
    body = client.get("/odata/v1/Products?$select=Name,ContentLength&$top=1&$expand=Attributes").json()
    assert body["@odata.context"] == "$metadata#Products(ContentLength,Id,Name)"
    assert set(body["value"][0]) == {"@odata.mediaContentType", "Id", "Name", "ContentLength", "Attributes"}


def test_filter_list(client: httpx.Client, five: list[str]) -> None:
    action = "/odata/v1/Products/OData.CSC.FilterList"
    names = {"FilterProducts": [{"Name": name} for name in (five[3], five[0], "nothing")]}
    body = client.post(f"{action}?$expand=Attributes", json=names).json()
    assert body["@odata.context"] == "$metadata#Products"
    assert [each["Name"] for each in body["value"]] == [five[0], five[3]]
    assert client.post(action, json={"FilterProducts": []}).json()["value"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{}", 400),
        (b"[]", 400),
        (b'{"FilterProducts": [{"Name": 5}]}', 400),
        (b'{"FilterProducts": [{"Name": "\\u0000"}]}', 400),
        (b"\xff", 400),
        (b'{"FilterProducts": [' + b",".join([b'{"Name": "x"}'] * 1001) + b"]}", 400),
        (b" " * (2**20 + 1), 413),
    ],
)
def test_filter_list_with_a_wrong_body(client: httpx.Client, body: bytes, status: int) -> None:
    answer = client.post("/odata/v1/Products/OData.CSC.FilterList", content=body)
    assert (answer.status_code, answer.json()["error"]["target"]) == (status, "FilterProducts")


def test_gigantic_requests(client: httpx.Client) -> None:
    assert client.get(f"/odata/v1/Products?$filter=Name eq '{'x' * 20_000}'").status_code == 400
    assert client.get(f"/odata/v1/Products?x={'x' * 60_000}").json()["error"]["code"] == "AddressTooLong"
    assert client.get("/odata/v1/Products", headers={"X": "x" * 40_000}).json()["error"]["code"] == "HeadersTooLarge"
    assert found(client, "Online eq true") == []
