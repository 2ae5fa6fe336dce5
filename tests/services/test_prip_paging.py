"""Pages, orders and counts of published products."""

from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import Engine, delete, update
from tests.services.prip import PUBLIC_URL, found
from tests.services.published import event

from refsys.services.distribution.model import product
from refsys.services.distribution.odata.properties import ORDERABLE
from refsys.services.distribution.publisher import publish

pytest_plugins = ("tests.services.prip",)


def following(body: dict[str, str]) -> str:
    """The path and query of the next page; empty on the last one."""
    link = urlsplit(body.get("@odata.nextLink", ""))
    assert not link.netloc or f"{link.scheme}://{link.netloc}" == PUBLIC_URL
    return f"{link.path}?{link.query}" if link.path else ""


def test_pages_by_next_link(client: httpx.Client, five: list[str]) -> None:
    names: list[str] = []
    address = "/odata/v1/Products?$top=2&$orderby=Name desc&$filter=Online eq true"
    while address:
        body = client.get(address).json()
        names += [each["Name"] for each in body["value"]]
        address = following(body)
    assert names == sorted(five, reverse=True)


@pytest.mark.parametrize("order", ["EvictionDate desc,ContentLength", "ContentDate/Start desc", "EvictionDate", "Name"])
def test_pages_while_products_come_and_go(client: httpx.Client, engine: Engine, order: str) -> None:
    there = [f"S1A_{number:02d}.EOF" for number in range(12)]
    for number, name in enumerate(there):
        publish(engine, event(name, b"x" * number, number // 3))
    with engine.begin() as connection:
        some = product.c.name.in_(there[::3])
        connection.execute(update(product).where(some).values(eviction_date=product.c.content_end))
    names: list[str] = []
    address, page, gone = f"/odata/v1/Products?$top=3&$count=true&$orderby={order}", 0, set()
    while address:
        body = client.get(address).json()
        names += [each["Name"] for each in body["value"]]
        address, page = following(body), page + 1
        publish(engine, event(f"S1B_NEW_{page}.EOF", b"x" * page, page))
        seen = [name for name in names if name in there and name not in gone]
        gone.add(seen[0])
        with engine.begin() as connection:
            connection.execute(delete(product).where(product.c.name == seen[0]))
    assert len(names) == len(set(names))
    assert set(there) <= set(names)


def test_orders(client: httpx.Client, five: list[str]) -> None:
    for name in ORDERABLE:
        rising = client.get(f"/odata/v1/Products?$orderby={name} asc").json()["value"]
        assert {each["Name"] for each in rising} == set(five), name
    assert found(client, "Online eq true", orderby="ContentLength desc") == five[::-1]


def test_count_alone(client: httpx.Client, five: list[str]) -> None:
    assert client.get("/odata/v1/Products/$count?$filter=startswith(Name,'S1')").text == "3"


def test_counts_follow_every_change(client: httpx.Client, engine: Engine, five: list[str]) -> None:
    def counted() -> tuple[str, int]:
        condition = "$filter=startswith(Name,'S1')"
        body = client.get(f"/odata/v1/Products?$top=0&$count=true&{condition}").json()
        assert body["value"] == []
        return client.get(f"/odata/v1/Products/$count?{condition}").text, body["@odata.count"]

    assert counted() == ("3", 3)
    publish(engine, event("S1A_MORE.EOF"))
    assert counted() == ("4", 4)
    with engine.begin() as connection:
        connection.execute(delete(product).where(product.c.name == five[0]))
        assert counted() == ("4", 4)  # not yet committed
    assert counted() == ("3", 3)
    with engine.begin() as connection:
        connection.execute(update(product).where(product.c.name == "S1A_MORE.EOF").values(name="S2A_MORE.EOF"))
    assert counted() == ("2", 2)
