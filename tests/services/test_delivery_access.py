"""Nobody learns of a product outside of his collections by delivery, on real PostgreSQL and S3."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine, func, select, update
from tests.services.prip import Prip
from tests.services.published import event
from tests.services.test_orders import place
from tests.services.test_subscriptions import URL, delete_product, read, subscribe

from refsys.services.common.store import ObjectStore
from refsys.services.distribution.delivery.matching import match
from refsys.services.distribution.delivery.model import deleted_product, notification, product_order, subscription
from refsys.services.distribution.model import product
from refsys.services.distribution.publisher import publish

pytest_plugins = ("tests.services.prip",)

EVERY = ["created", "modified", "deleted"]
MINE, OTHER = event("S2A_MINE.EOF", b"mine"), event("S1A_OTHER.EOF", b"other")


@pytest.fixture
def partner(prip: Prip) -> Iterator[httpx.Client]:
    with prip.client("partner", ("prip-s2",)) as client:
        yield client


def both(engine: Engine) -> None:
    for each in (MINE, OTHER):
        publish(engine, each)


def test_notifications(engine: Engine, partner: httpx.Client, client: httpx.Client) -> None:
    """Also with a filter, and of what happens to a product later."""
    made = subscribe(partner, "contains(Name,'EOF') or Online eq true", SubscriptionEvent=EVERY)
    whole = subscribe(client, SubscriptionEvent=EVERY)
    both(engine)
    match(engine)
    with engine.begin() as connection:
        connection.execute(update(product).values(online=False))
    match(engine)
    for each in (MINE, OTHER):
        assert delete_product(engine, each.product_id, "Corrupted product")
    match(engine)
    told = [(each["SubscriptionEvent"], each["ProductName"]) for each in read(partner, made["Id"])]
    assert told == [(kind, "S2A_MINE.EOF") for kind in EVERY]
    assert len(read(client, whole["Id"])) == 6


def test_roles_that_change(prip: Prip, engine: Engine, partner: httpx.Client) -> None:
    """Taken over with the next request, also a refused one; what waits of lost products is removed."""
    made = subscribe(partner)
    both(engine)
    match(engine)
    address = f"{URL}({made['Id']})/Read"
    with prip.client("partner", ("prip-s1", "prip-s2")) as richer:
        assert [each["ProductName"] for each in read(richer, made["Id"])] == ["S2A_MINE.EOF"]
    publish(engine, event("S1A_NEXT.EOF"))
    match(engine)
    with prip.client("partner", ("prip-s1", "prip-s2")) as richer:
        assert [each["ProductName"] for each in read(richer, made["Id"])] == ["S2A_MINE.EOF", "S1A_NEXT.EOF"]
    assert [each["ProductName"] for each in read(partner, made["Id"])] == ["S2A_MINE.EOF"]
    with prip.client("partner", ()) as dismissed:
        assert dismissed.get(address).status_code == 403
    publish(engine, event("S2A_NEXT.EOF"))
    match(engine)
    with engine.connect() as connection:
        assert connection.execute(select(subscription.c.roles)).scalar_one() == []
        assert connection.execute(select(func.count()).select_from(notification)).scalar_one() == 0


def test_orders(prip: Prip, engine: Engine, store: ObjectStore, partner: httpx.Client) -> None:
    both(engine)
    with engine.begin() as connection:
        connection.execute(update(product).values(online=False))
    refused = partner.post(f"/odata/v1/Products({OTHER.product_id})/OData.CSC.Order", json={})
    assert refused.status_code == 404
    made = place(partner, str(MINE.product_id))
    address = f"/odata/v1/Orders({made['Id']})"
    assert partner.get(address).status_code == 200
    with prip.client("partner", ("prip-s1",)) as moved:
        assert moved.get(address).status_code == 404
        assert moved.post(f"{address}/OData.CSC.Cancel").status_code == 404
        assert moved.get("/odata/v1/Orders", params={"$count": "true"}).json()["@odata.count"] == 0
    delete_product(engine, MINE.product_id, "Corrupted product")
    assert partner.get(address).json()["Status"] == "failed"
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(product_order)).scalar_one() == 1


def test_deleted_products(prip: Prip, engine: Engine, partner: httpx.Client) -> None:
    both(engine)
    for each in (MINE, OTHER):
        delete_product(engine, each.product_id, "Corrupted product")
    sets = "/odata/v1/DeletedProducts"
    assert [each["Name"] for each in partner.get(sets).json()["value"]] == ["S2A_MINE.EOF"]
    assert partner.get(f"{sets}?$filter=contains(Name,'OTHER')").json()["value"] == []
    assert partner.get(f"{sets}/$count").text == "1"
    assert partner.get(f"{sets}({OTHER.product_id})").status_code == 404
    assert partner.get(f"{sets}({MINE.product_id})").status_code == 200
    with engine.connect() as connection:
        assert set(connection.execute(select(deleted_product.c.bucket)).scalars()) == {"rs-s1-aux"}
    with prip.client() as everybody:
        assert everybody.get(f"{sets}/$count").text == "2"


def test_metalinks(engine: Engine, partner: httpx.Client) -> None:
    both(engine)
    assert partner.get(f"/odata/v1/Products({OTHER.product_id})/$value.meta4").status_code == 404
    page = partner.get("/odata/v1/Products.meta4").text
    assert "S2A_MINE.EOF" in page and "S1A_OTHER.EOF" not in page
