"""Orders of offline products on real PostgreSQL, S3, Keycloak and an HTTPS receiver; metalinks."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from lxml import etree
from sqlalchemy import Engine, func, select, update
from tests.services.prip import Prip
from tests.services.published import BUCKET, event
from tests.services.serving import Receiver

from refsys.services.common.store import ObjectStore
from refsys.services.distribution.deletion import delete_product
from refsys.services.distribution.delivery import recalls
from refsys.services.distribution.delivery.matching import match
from refsys.services.distribution.delivery.model import recall
from refsys.services.distribution.delivery.sender import Sender
from refsys.services.distribution.model import product
from refsys.services.distribution.publisher import publish

pytest_plugins = ("tests.services.prip", "tests.services.delivered")

NAME = "S1A_OPER_AUX_RESORB.EOF"
META4 = "{urn:ietf:params:xml:ns:metalink}"


@pytest.fixture
def offline(engine: Engine, store: ObjectStore) -> str:
    """The Id of a published product that is offline: its bytes are not in the store."""
    given = event(NAME, b"content")
    publish(engine, given)
    with engine.begin() as connection:
        connection.execute(update(product).values(online=False))
    return str(given.product_id)


def place(client: httpx.Client, product_id: str, **fields: Any) -> dict[str, Any]:
    answer = client.post(f"/odata/v1/Products({product_id})/OData.CSC.Order", json=fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["Location"].endswith(f"/odata/v1/Orders({made['Id']})")
    return made


def status(client: httpx.Client, order: dict[str, Any]) -> dict[str, Any]:
    """The order, asked for as LTA clients do."""
    page = client.get("/odata/v1/Orders", params={"$filter": f"Id eq {order['Id']}", "$count": "true", "$top": "1000"})
    assert page.json()["@odata.count"] == 1, page.text
    found: dict[str, Any] = page.json()["value"][0]
    return found


def test_order_of_an_offline_product(  # noqa: PLR0917  # fixtures
    prip: Prip,
    client: httpx.Client,
    engine: Engine,
    store: ObjectStore,
    offline: str,
    sender: Sender,
    receiver: Receiver,
) -> None:
    """Refused, ordered by two users, recalled once, online and downloaded, the owner notified."""
    value = f"/odata/v1/Products({offline})/$value"
    refused = client.get(value)
    assert refused.status_code == 403
    assert f"POST Products({offline})/OData.CSC.Order" in refused.json()["error"]["message"]
    made = place(
        client,
        offline,
        Priority=50,
        NotificationEndpoint=receiver.url,
        NotificationEpUsername="me",
        NotificationEpPassword="secret",
    )
    assert made["@odata.context"] == "$metadata#OData.CSC.Order"
    assert (made["Status"], made["OrderSize"], made["Priority"]) == ("queued", 7, 50)
    assert made["SubmissionDate"] and not made["CompletedDate"] and not made["EvictionDate"]
    with prip.client("reader", ("prip-user",)) as reader:
        other = place(reader, offline)
        assert reader.get(f"/odata/v1/Orders({made['Id']})").status_code == 404
        assert [each["Id"] for each in reader.get("/odata/v1/Orders").json()["value"]] == [other["Id"]]
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(recall)).scalar_one() == 1
    claimed = recalls.claim(engine)
    assert claimed is not None and (claimed["product_name"], claimed["bucket"], claimed["priority"]) == (
        NAME,
        BUCKET,
        50,
    )
    assert recalls.claim(engine) is None
    assert status(client, made)["Status"] == "in_progress"
    assert client.get(value).status_code == 403
    store.put(claimed["bucket"], claimed["object_key"], [b"content"], 7)
    assert recalls.complete(engine, claimed["id"])
    assert not recalls.complete(engine, claimed["id"])
    done = status(client, made)
    assert done["Status"] == "completed" and done["CompletedDate"]
    until = datetime.fromisoformat(done["EvictionDate"]) - datetime.now(UTC)
    assert timedelta(days=2, hours=23) < until <= timedelta(days=3)
    assert client.get(value).content == b"content"
    assert client.get(f"/odata/v1/Products({offline})").json()["EvictionDate"] == done["EvictionDate"]
    while sender.send():
        pass
    (received,) = receiver.received
    assert (received.json["Id"], received.json["Status"], received.credentials) == (
        made["Id"],
        "completed",
        "me:secret",
    )


def test_order_of_an_online_product_completes_at_once(
    client: httpx.Client, engine: Engine, sender: Sender, receiver: Receiver
) -> None:
    given = event(NAME, b"content")
    publish(engine, given)
    made = place(client, str(given.product_id), NotificationEndpoint=receiver.url)
    assert made["Status"] == "completed" and made["CompletedDate"] == made["SubmissionDate"]
    assert recalls.claim(engine) is None
    while sender.send():
        pass
    assert [each.json["Id"] for each in receiver.received] == [made["Id"]]


def test_cancelling(client: httpx.Client, engine: Engine, offline: str) -> None:
    """The recall is given up when nobody waits for it any more, not before."""
    first, second = place(client, offline), place(client, offline)
    cancelled = client.post(f"/odata/v1/Orders({first['Id']})/OData.CSC.Cancel")
    assert cancelled.json()["Status"] == "cancelled"
    assert client.post(f"/odata/v1/Orders({first['Id']})/OData.CSC.Cancel").status_code == 409
    assert status(client, second)["Status"] == "queued"
    client.post(f"/odata/v1/Orders({second['Id']})/OData.CSC.Cancel")
    assert recalls.claim(engine) is None
    third = place(client, offline)
    claimed = recalls.claim(engine)
    assert claimed and recalls.fail(engine, claimed["id"], "the archive has no such product")
    assert (status(client, third)["Status"], status(client, third)["StatusMessage"]) == (
        "failed",
        "the archive has no such product",
    )


def test_order_of_a_product_that_is_deleted(client: httpx.Client, engine: Engine, offline: str) -> None:
    made = place(client, offline)
    claimed = recalls.claim(engine)
    with engine.begin() as connection:
        assert delete_product(connection, UUID(offline), "Duplicated product")
    assert status(client, made)["Status"] == "failed"
    assert claimed and not recalls.complete(engine, claimed["id"])
    assert client.post(f"/odata/v1/Products({offline})/OData.CSC.Order").status_code == 404


def test_claims(engine: Engine, client: httpx.Client, offline: str) -> None:
    """Two restorers never get the same recall, unless the lease of the first is over; highest priority first."""
    place(client, offline, Priority=1)
    others = [event(f"S1A_{number}.EOF", b"x") for number in range(4)]
    for number, each in enumerate(others):
        publish(engine, each)
        with engine.begin() as connection:
            connection.execute(update(product).values(online=False))
        place(client, str(each.product_id), Priority=10 + number)
    claimed: list[str] = []

    def claim() -> None:
        found = recalls.claim(engine, timedelta(seconds=0))
        assert found is not None
        claimed.append(found["product_name"])

    highest = recalls.claim(engine)
    assert highest is not None and highest["product_name"] == "S1A_3.EOF"
    assert recalls.claim(engine, timedelta(seconds=0)) is not None  # its restorer dies: it is claimed again below
    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert "S1A_3.EOF" not in claimed and "S1A_2.EOF" in claimed


def test_stage_order(client: httpx.Client, engine: Engine, offline: str) -> None:
    """A subscription with StageOrder orders the offline products that it tells of, once."""
    wanted = {"SubscriptionType": "pull", "StageOrder": True, "Priority": 7, "SubscriptionEvent": ["modified"]}
    assert client.post("/odata/v1/Subscriptions", json=wanted).status_code == 201
    for days in (1, 2):
        with engine.begin() as connection:
            connection.execute(update(product).values(eviction_date=datetime.now(UTC) + timedelta(days=days)))
        match(engine)
    (order,) = client.get("/odata/v1/Orders").json()["value"]
    assert (order["ProductId"], order["Priority"], order["Status"]) == (offline, 7, "queued")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"Priority": 1000}, "Priority"),
        ({"NotificationEpUsername": "me"}, "NotificationEndpoint"),
        ({"NotificationEndpoint": "https://192.168.1.1/"}, "not a public address"),
    ],
)
def test_wrong_orders(client: httpx.Client, offline: str, body: dict[str, Any], reason: str) -> None:
    answer = client.post(f"/odata/v1/Products({offline})/OData.CSC.Order", json=body)
    assert answer.status_code == 400 and reason in answer.json()["error"]["message"]
    assert client.get("/odata/v1/Orders").json()["value"] == []
    assert client.get("/odata/v1/Orders", params={"$filter": "Nonsense eq 1"}).status_code == 400


def test_metalinks(client: httpx.Client, engine: Engine, offline: str) -> None:
    """RFC 5854, of one product and of a query; what is offline has no address yet."""
    online = event("S1A_online & odd.EOF", b"bytes")
    publish(engine, online)
    answer = client.get(f"/odata/v1/Products({online.product_id})/$value.meta4")
    assert answer.headers["Content-Type"].startswith("application/metalink4+xml")
    (file,) = etree.fromstring(answer.content).findall(f"{META4}file")
    assert file.get("name") == "S1A_online & odd.EOF"
    assert file.findtext(f"{META4}size") == "5"
    (digest,) = file.findall(f"{META4}hash")
    assert (digest.get("type"), digest.text) == ("md5", online.checksums[0].value)
    url = f"https://prip.example.test/odata/v1/Products({online.product_id})/$value"
    assert file.findtext(f"{META4}url") == url
    many = client.get("/odata/v1/Products.meta4", params={"$filter": "startswith(Name,'S1A')", "$top": "50"})
    assert [each.get("name") for each in etree.fromstring(many.content).iter(f"{META4}file")] == [
        "S1A_online & odd.EOF"
    ]
    assert client.get(f"/odata/v1/Products({offline})/$value.meta4").status_code == 403
