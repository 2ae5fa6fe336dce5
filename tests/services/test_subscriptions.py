"""Subscriptions on real PostgreSQL, Kafka, Keycloak and an HTTPS receiver: each event once, in order, signed."""

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import Engine, func, select, text, update
from tests.services.conftest import wait_until
from tests.services.prip import Prip
from tests.services.published import attributes, event
from tests.services.serving import Received, Receiver

from refsys.services.common.bus import Producer
from refsys.services.common.messages import CATALOG_EVENT
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.distribution import deletion, publisher
from refsys.services.distribution.delivery import notifier, push, queue
from refsys.services.distribution.delivery.guard import Guard
from refsys.services.distribution.delivery.matching import match
from refsys.services.distribution.delivery.model import endpoint, notification, product_event, subscription
from refsys.services.distribution.delivery.push import Parcel, Pusher, PushError, Target
from refsys.services.distribution.delivery.sender import Sender
from refsys.services.distribution.model import product

pytest_plugins = ("tests.services.prip", "tests.services.delivered")

URL = "/odata/v1/Subscriptions"
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}


def subscribe(client: httpx.Client, text: str = "", **fields: Any) -> dict[str, Any]:
    answer = client.post(URL, json={"FilterParam": text, "SubscriptionType": "pull"} | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def read(client: httpx.Client, subscription_id: str, **options: Any) -> list[dict[str, Any]]:
    answer = client.get(f"{URL}({subscription_id})/Read", params={f"${name}": value for name, value in options.items()})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def delete_product(engine: Engine, product_id: UUID, cause: str) -> bool:
    with engine.begin() as connection:
        return deletion.delete_product(connection, product_id, cause)


def drain(sender: Sender, seconds: float = 30) -> None:
    """Send until nothing waits."""
    end = time.monotonic() + seconds
    with sender._engine.connect() as connection:
        while connection.execute(select(func.count()).select_from(notification)).scalar_one():
            connection.rollback()
            assert time.monotonic() < end
            if not sender.send():
                time.sleep(0.01)


def verified(received: Received, secret: str) -> bool:
    """Whether the signature is that of Standard Webhooks, computed here from its text."""
    headers = received.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + received.body
    digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    return headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_pull(client: httpx.Client, engine: Engine) -> None:
    """What is not acknowledged comes again; an acknowledgement takes all before it along."""
    publisher.publish(engine, event("S1A_AUX_before.EOF"))
    made = subscribe(client, "contains(Name,'AUX_')", Priority=5, StageOrder=False, SubscriptionEvent=["created"])
    assert (made["Status"], made["SubscriptionType"], made["Priority"]) == ("running", "pull", 5)
    assert made["SubscriptionEvent"] == ["created"] and "NotificationSecret" not in made
    for number in range(25):
        publisher.publish(engine, event(f"S1A_AUX_{number:02}.EOF", b"x"))
        publisher.publish(engine, event(f"S1A_MPL_{number:02}.EOF", b"x"))
    assert match(engine) == 50
    assert match(engine) == 0
    first = read(client, made["Id"])
    assert [each["ProductName"] for each in first] == [f"S1A_AUX_{number:02}.EOF" for number in range(20)]
    assert set(first[0]) == {
        *("SubscriptionEvent", "ProductId", "ProductName", "SubscriptionId", "NotificationDate", "AckId", "value")
    }
    assert first[0]["value"]["Id"] == first[0]["ProductId"] and first[0]["value"]["Attributes"]
    assert read(client, made["Id"]) == first
    assert read(client, made["Id"], top="3") == first[:3]
    ack = f"{URL}({made['Id']})/Ack"
    assert client.post(ack, params={"$ackid": first[9]["AckId"]}).json()["value"] == 10
    assert client.post(ack, params={"$ackid": first[9]["AckId"]}).json()["value"] == 0
    assert [each["ProductName"] for each in read(client, made["Id"])] == [
        f"S1A_AUX_{number:02}.EOF" for number in range(10, 25)
    ]
    assert client.get(f"{URL}({made['Id']})").json()["LastNotificationDate"]
    for wrong in ({}, {"$ackid": "5"}, {"$ackid": f"{UUID(int=1)}:5"}):
        assert client.post(ack, params=wrong).status_code == 400
    assert client.get(f"{URL}({made['Id']})/Read", params={"$top": "21"}).status_code == 400


def test_events_of_a_product(client: httpx.Client, engine: Engine) -> None:
    """Created, modified and deleted, each matched by attributes and footprint, the last after the product is gone."""
    area = "OData.CSC.Intersects(area=geography'SRID=4326;POINT(5 5)')"
    orbit = "Attributes/OData.CSC.IntegerAttribute/any(a:a/Name eq 'orbitNumber' and a/OData.CSC.IntegerAttribute/Value"
    every = ["created", "modified", "deleted"]
    made = subscribe(client, f"{area} and {orbit} eq 7)", SubscriptionEvent=every)
    given = event("S1A_inside.EOF", b"x", footprint=SQUARE, attributes=attributes(orbitNumber=7))
    publisher.publish(engine, given)
    publisher.publish(engine, event("S1A_other.EOF", b"x", footprint=SQUARE, attributes=attributes(orbitNumber=8)))
    match(engine)
    with engine.begin() as connection:
        connection.execute(product.update().values(online=False))
    with engine.begin() as connection:
        connection.execute(product.update().values(trace={}))  # nothing that users see
    match(engine)
    for each in (given.product_id, event("S1A_other.EOF").product_id):
        assert delete_product(engine, each, "Corrupted product")
        assert not delete_product(engine, each, "Corrupted product")
    match(engine)
    found = read(client, made["Id"])
    assert [(each["SubscriptionEvent"], each["ProductName"]) for each in found] == [
        (kind, "S1A_inside.EOF") for kind in every
    ]
    assert [each["value"].get("Online") for each in found] == [True, False, None]
    assert found[2]["value"]["DeletionCause"] == "Corrupted product"


def test_deleted_products(client: httpx.Client, engine: Engine) -> None:
    names = [f"S1A_{number}.EOF" for number in range(3)]
    for number, name in enumerate(names):
        publisher.publish(engine, event(name, b"x", number))
        assert delete_product(engine, event(name).product_id, f"cause {number}")
    assert client.get("/odata/v1/Products").json()["value"] == []
    page = client.get("/odata/v1/DeletedProducts", params={"$top": "2", "$count": "true", "$expand": "Attributes"})
    assert page.json()["@odata.count"] == 3 and "$skip=2" in page.json()["@odata.nextLink"]
    first = page.json()["value"][0]
    assert (first["Name"], first["DeletionCause"]) == (names[0], "cause 0") and first["Attributes"]
    assert "Online" not in first
    after = client.get("/odata/v1/DeletedProducts", params={"$filter": f"DeletionDate gt {first['DeletionDate']}"})
    assert [each["Name"] for each in after.json()["value"]] == names[1:]
    lambda_ = "Attributes/OData.CSC.IntegerAttribute/any(a:a/Name eq 'orbitNumber' and a/Value eq 50002)"
    assert client.get("/odata/v1/DeletedProducts/$count", params={"$filter": lambda_}).text == "1"
    assert client.get(f"/odata/v1/DeletedProducts({first['Id']})").json()["Name"] == names[0]
    assert client.get(f"/odata/v1/DeletedProducts({UUID(int=1)})").status_code == 404
    publisher.publish(engine, event(names[0], b"new"))  # the name is free again, the deletion is still on record
    assert client.get(f"/odata/v1/Products({first['Id']})").status_code == 200
    assert delete_product(engine, UUID(first["Id"]), "again")
    assert client.get(f"/odata/v1/DeletedProducts({first['Id']})").json()["DeletionCause"] == "again"


def test_each_event_once_whoever_matches(client: httpx.Client, engine: Engine) -> None:
    """Four matchers at once, one of which always dies before its commit."""
    made = subscribe(client, "startswith(Name,'S1')")
    for number in range(240):
        publisher.publish(engine, event(f"S1A_{number:03}.EOF", b"x"))

    def die() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('refsys matching', 0))"))
            connection.execute(update(product_event).values(matched=True))
            connection.rollback()

    threads = [threading.Thread(target=target) for target in (lambda: match(engine), die) * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with engine.connect() as connection:
        found = connection.execute(
            select(product_event.c.product_name)
            .join_from(notification, product_event, notification.c.event_id == product_event.c.id)
            .where(notification.c.subscription_id == UUID(made["Id"]))
            .order_by(notification.c.seq)
        ).scalars()
        assert list(found) == [f"S1A_{number:03}.EOF" for number in range(240)]


def test_pause_resume_cancel(client: httpx.Client, engine: Engine) -> None:
    made = subscribe(client)
    publisher.publish(engine, event("S1A_1.EOF"))
    match(engine)
    url = f"{URL}({made['Id']})"
    assert client.patch(url, json={"Status": "paused"}).json()["Status"] == "paused"
    publisher.publish(engine, event("S1A_2.EOF"))
    match(engine)
    assert client.patch(url, json={"Status": "running"}).json()["Status"] == "running"
    publisher.publish(engine, event("S1A_3.EOF"))
    match(engine)
    assert [each["ProductName"] for each in read(client, made["Id"])] == ["S1A_1.EOF", "S1A_3.EOF"]
    assert client.delete(url).status_code == 204
    assert client.get(url).json()["Status"] == "cancelled"
    assert read(client, made["Id"]) == []
    assert client.patch(url, json={"Status": "running"}).status_code == 409
    assert client.patch(url, json={"Status": "resting"}).status_code == 400


def test_limits_and_privacy(prip: Prip, client: httpx.Client) -> None:
    made = subscribe(client)
    again = client.post(URL, json={"SubscriptionType": "pull"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "TooManyRunning")
    for _ in range(9):
        subscribe(client, Status="paused")
    assert client.post(URL, json={"SubscriptionType": "pull", "Status": "paused"}).status_code == 409
    page = client.get(URL, params={"$filter": "Status eq 'paused'", "$count": "true", "$top": "2"}).json()
    assert page["@odata.count"] == 9 and len(page["value"]) == 2
    with prip.client("reader", ("prip-user",)) as reader:
        assert reader.get(URL).json()["value"] == []
        for answer in (
            reader.get(f"{URL}({made['Id']})"),
            reader.get(f"{URL}({made['Id']})/Read"),
            reader.patch(f"{URL}({made['Id']})", json={"Status": "cancelled"}),
        ):
            assert answer.status_code == 404
        subscribe(reader)
    with prip.client("nobody", ()) as nobody:
        assert nobody.get(URL).status_code == 403


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"FilterParam": "Nam eq 'x'"}, "Nam is not known"),
        ({"FilterParam": "Name eq"}, "position"),
        ({"SubscriptionType": "push"}, "is needed"),
        ({"NotificationEndpoint": "https://example.com/"}, "no use for pull"),
        ({"SubscriptionEvent": ["burnt"]}, "SubscriptionEvent"),
        ({"Priority": 0}, "Priority"),
        ({"Unknown": 1}, "Unknown"),
        ({"SubscriptionType": "push", "NotificationEndpoint": "http://example.com/"}, "https"),
        ({"SubscriptionType": "push", "NotificationEndpoint": "https://10.0.0.1/"}, "not a public address"),
        ({"SubscriptionType": "push", "NotificationEndpoint": "https://169.254.169.254/latest"}, "not a public"),
        ({"SubscriptionType": "push", "NotificationEndpoint": "https://[::ffff:10.0.0.1]/"}, "not a public"),
        ({"SubscriptionType": "push", "NotificationEndpoint": "https://[fe80::1]/"}, "not a public"),
        ({"SubscriptionType": "push", "NotificationEndpoint": "https://1.1.1.1:22/"}, "port 22"),
        ({"SubscriptionType": "push", "NotificationEndpoint": "https://user:word@example.com/"}, "NotificationEp"),
    ],
)
def test_wrong_subscriptions(client: httpx.Client, fields: dict[str, Any], reason: str) -> None:
    answer = client.post(URL, json={"SubscriptionType": "pull"} | fields)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]["message"]
    assert client.post(URL, content=b"{" + b" " * 70_000).status_code == 413


def test_a_filter_that_fails_pauses_its_subscription_alone(prip: Prip, client: httpx.Client, engine: Engine) -> None:
    wrong = subscribe(client, "matchesPattern(Name,'(')")
    with prip.client("reader", ("prip-user",)) as reader:
        right = subscribe(reader)
        publisher.publish(engine, event("S1A_1.EOF"))
        match(engine)
        assert len(read(reader, right["Id"])) == 1
    found = client.get(f"{URL}({wrong['Id']})").json()
    assert found["Status"] == "paused" and "matchesPattern" in found["StatusMessage"]


def test_queue_is_bounded_and_payloads_expire(client: httpx.Client, engine: Engine) -> None:
    made = subscribe(client)
    for number in range(5):
        publisher.publish(engine, event(f"S1A_{number}.EOF", b"x"))
    match(engine)
    with engine.begin() as connection:
        assert queue.limit(connection, UUID(made["Id"]), 3) == 2
        assert queue.limit(connection, UUID(made["Id"]), 3) == 0
        old = update(product_event).values(moment=product_event.c.moment - timedelta(days=4))
        connection.execute(old.where(product_event.c.product_name.in_([f"S1A_{number}.EOF" for number in range(4)])))
    removed = queue.expire(engine)
    assert (removed["payloads"], removed["events"]) == (4, 2)
    found = read(client, made["Id"])
    assert [each["ProductName"] for each in found] == [None, None, "S1A_4.EOF"]
    assert [each["value"] is None for each in found] == [True, True, False]
    assert found[0]["ProductId"] == str(event("S1A_2.EOF").product_id)


def test_push(client: httpx.Client, engine: Engine, sender: Sender, receiver: Receiver) -> None:
    """In order, signed, with the user's credentials, each taken once although the receiver fails meanwhile."""
    made = subscribe(
        client,
        "startswith(Name,'S1')",
        SubscriptionType="push",
        NotificationEndpoint=receiver.url,
        NotificationEpUsername="me",
        NotificationEpPassword="pass word:ü",
    )
    assert made["NotificationSecret"].startswith("whsec_")
    shown = client.get(f"{URL}({made['Id']})").text
    assert "pass word" not in shown and "whsec_" not in shown and receiver.url in shown
    receiver.answers = [500, 302, 429]
    for number in range(30):
        publisher.publish(engine, event(f"S1A_{number:02}.EOF", b"x"))
    match(engine)
    drain(sender)
    names = [each.json["ProductName"] for each in receiver.taken()]
    assert names == [f"S1A_{number:02}.EOF" for number in range(30)]
    assert len(receiver.received) == 33 and {each.path for each in receiver.received} == {"/notify"}
    assert all(verified(each, made["NotificationSecret"]) for each in receiver.received)
    assert {each.credentials for each in receiver.received} == {"me:pass word:ü"}
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 30
    assert receiver.received[0].headers["host"] == f"localhost:{receiver.port}"
    assert receiver.taken()[0].json["SubscriptionId"] == made["Id"]
    with engine.connect() as connection:
        row = connection.execute(select(endpoint)).mappings().one()
    assert b"pass word" not in row["password"] and b"whsec" not in row["secret"]
    assert client.get(f"{URL}({made['Id']})/Read").status_code == 400


def test_a_dead_endpoint_gets_longer_and_longer_pauses(
    client: httpx.Client, engine: Engine, sender: Sender, receiver: Receiver
) -> None:
    made = subscribe(client, SubscriptionType="push", NotificationEndpoint="https://localhost:1/")
    publisher.publish(engine, event("S1A_1.EOF"))
    match(engine)
    sender._pause = 40.0
    pauses = []
    for _ in range(4):
        assert sender.send()
        assert not sender.send()
        with engine.begin() as connection:
            pauses.append(connection.execute(select(endpoint.c.next_attempt - func.now())).scalar_one())
            connection.execute(update(endpoint).values(next_attempt=func.now()))
    bounds = [40 * 2**number for number in range(4)]
    assert all(bound / 2 - 2 < pause.total_seconds() <= bound for bound, pause in zip(bounds, pauses, strict=True))
    found = client.get(f"{URL}({made['Id']})").json()
    assert "cannot be reached" in found["LastNotificationError"]
    with engine.begin() as connection:
        connection.execute(update(notification).values(moment=notification.c.moment - timedelta(days=4)))
    assert queue.expire(engine)["not_posted"] == 1
    assert not sender.send()


def test_pushing_stops_while_paused(client: httpx.Client, engine: Engine, sender: Sender, receiver: Receiver) -> None:
    made = subscribe(client, SubscriptionType="push", NotificationEndpoint=receiver.url)
    publisher.publish(engine, event("S1A_1.EOF"))
    match(engine)
    client.patch(f"{URL}({made['Id']})", json={"Status": "paused"})
    assert not sender.send()
    client.patch(f"{URL}({made['Id']})", json={"Status": "running"})
    drain(sender)
    assert len(receiver.taken()) == 1


def test_a_name_that_leads_inside_is_not_reached(receiver: Receiver, sender: Sender) -> None:
    """`localhost` passes as a name and is refused once it is resolved, unless its network is allowed."""
    target = Target(receiver.url, None, None, push.new_secret())
    parcels = [Parcel("1", b"{}")]
    with pytest.raises(PushError, match="not a public address"):
        Pusher(Guard()).deliver(target, parcels, lambda _: None)
    assert receiver.received == []
    sender._pusher.deliver(target, parcels, lambda _: None)
    assert len(receiver.received) == 1


def test_a_receiver_that_hangs_or_is_another(
    receiver: Receiver, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target(receiver.url, None, None, push.new_secret())
    with pytest.raises(PushError, match="CERTIFICATE_VERIFY_FAILED"):  # its authority is not a public one
        Pusher(sender._pusher._guard).deliver(target, [Parcel("1", b"{}")], lambda _: None)
    monkeypatch.setattr(push, "POST_SECONDS", 0.5)
    receiver.answers = [3.0]
    started = time.monotonic()
    with pytest.raises(PushError, match="did not answer within"):
        sender._pusher.deliver(target, [Parcel("2", b"{}"), Parcel("3", b"{}")], lambda _: None)
    assert time.monotonic() - started < 2.5
    assert len(receiver.received) == 1


def test_from_kafka_to_the_receiver(  # noqa: PLR0917  # fixtures
    client: httpx.Client,
    engine: Engine,
    sender: Sender,
    receiver: Receiver,
    kafka_settings: Callable[[str], KafkaSettings],
    new_process: Callable[[str], Process],
    in_thread: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> None:
    """Catalogue events, some of them twice, through publisher and notifier, which is stopped and started meanwhile."""
    subscribe(client, "contains(Name,'AUX')", SubscriptionType="push", NotificationEndpoint=receiver.url)
    events = [event(f"S1A_AUX_{number:02}.EOF", b"x") for number in range(40)]
    catalogue = Producer(kafka_settings("catalogue"), "catalogue")
    for each in [*events, *events[:10], event("S1A_MPL.EOF")]:
        catalogue.send(CATALOG_EVENT, each, each.key())
    catalogue.flush()
    publishing = new_process("publisher")
    kafka = kafka_settings("publisher")
    with in_thread(lambda: publisher.consume(publishing, kafka, engine)):
        for _ in range(3):
            notifying = new_process("notifier")
            with in_thread(lambda running=notifying: notifier.run(running, engine, sender)):  # type: ignore[misc]
                time.sleep(1.5)
                notifying.stop.set()
        notifying = new_process("notifier")
        with in_thread(lambda: notifier.run(notifying, engine, sender)):
            wait_until(lambda: len(receiver.taken()) >= 40, 60, "40 notifications")
            time.sleep(1.5)  # to see what should not be there
            assert notifying.health.unreadiness() is None
            notifying.stop.set()
        publishing.stop.set()
    assert sorted(each.json["ProductName"] for each in receiver.taken()) == [each.key_object_storage for each in events]
    with engine.connect() as connection:
        last = connection.execute(select(subscription.c.last_notification_date)).scalar_one()
        dates = connection.execute(select(func.max(product.c.publication_date))).scalar_one()
    assert last >= dates - timedelta(seconds=60)
