"""Orders on real PostgreSQL: planned into jobs, followed to their products, dismissed, limited, told to subscribers."""

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, func, select, update
from tests.means.issuer import authenticator, bearer
from tests.services.preparing import ENABLED, NOON, SQUARE, Catalogued, NoMasks, jobs, stamp
from tests.services.published import event
from tests.services.serving import Receiver
from tests.services.test_subscriptions import drain, verified

from refsys.services.common.operations import Health
from refsys.services.common.settings import DeliverySettings, OnDemandSettings
from refsys.services.distribution.auth import OPERATOR
from refsys.services.distribution.delivery.endpoints import Endpoints
from refsys.services.distribution.delivery.guard import Guard
from refsys.services.distribution.delivery.model import notification
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.distribution.delivery.sender import Sender
from refsys.services.distribution.publisher import publish
from refsys.services.execution import ledger as execution
from refsys.services.execution.tables import Phase
from refsys.services.ondemand.api import USER
from refsys.services.ondemand.app import create_app
from refsys.services.ondemand.documents import Addresses
from refsys.services.ondemand.orders import Orders
from refsys.services.ondemand.processes import Processes, name_of
from refsys.services.ondemand.tables import OrderChange, OrderRequest
from refsys.services.ondemand.telling import tell
from refsys.services.preparation.coverage import Masks
from refsys.services.preparation.preparation import Preparation
from refsys.services.production.shelf import Place
from refsys.services.production.states import Outcome, State
from refsys.services.production.tables import Job

pytest_plugins = ("tests.services.prip", "tests.services.delivered")

ADDRESSES = Addresses("https://ondemand.example.test/ogc", "https://prip.example.test")
EXECUTION = "/ogc/processes/s1-l1.IW_L1/execution"
FAR = {"type": "Polygon", "coordinates": [[[100, 0], [110, 0], [110, 10], [100, 10], [100, 0]]]}
MADE = "S1A_IW_GRDH_1SDV_20261101T120000_20261101T120025_050000_060000_{:04}.SAFE"


class Offered(Processes):
    """All shipped chains, as if they were enabled."""

    def all(self) -> list[Place]:
        """All that is shipped."""
        return sorted(ENABLED.on_demand(), key=name_of)


def slice_name(number: int) -> str:
    start = NOON + timedelta(seconds=25 * number)
    return f"S1A_IW_RAW__0SDV_{stamp(start)}_{stamp(start + timedelta(seconds=32))}_050000_060000_AB{number:02}.SAFE"


@dataclass
class Ordering:
    """The API, and clients of it."""

    engine: Engine
    orders: Orders
    app: Any

    def client(self, user: str = "anna", *roles: str) -> TestClient:
        return TestClient(self.app, headers=bearer(user, roles or (USER,)))

    def place(self, inputs: dict[str, Any], user: str = "anna", **fields: Any) -> dict[str, Any]:
        answer = self.client(user).post(EXECUTION, json={"inputs": inputs} | fields)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        assert answer.headers["Location"] == f"{ADDRESSES.root}/jobs/{made['jobID']}"
        return made

    def state(self, order: str, user: str = "anna") -> dict[str, Any]:
        found: dict[str, Any] = self.client(user).get(f"/ogc/jobs/{order}").json()
        return found

    def tell(self) -> None:
        tell(self.orders.entities, ADDRESSES)


@pytest.fixture
def slices(engine: Engine) -> Catalogued:
    """Three slices in the catalogue, of which the last lies elsewhere; nobody has made a job of them."""
    catalogued = Catalogued(engine, Preparation(engine, ENABLED, cast(Masks, NoMasks()), {}))
    for number in range(3):
        catalogued.add(slice_name(number), "L0_SLICE", footprint=json.dumps(FAR if number == 2 else SQUARE))
    return catalogued


@pytest.fixture
def ordering(engine: Engine, slices: Catalogued, delivery_settings: DeliverySettings) -> Ordering:
    assert slices
    guard = Guard(delivery_settings.allowed_networks)
    endpoints = Endpoints(Cipher(delivery_settings.key_file), guard)
    orders = Orders(engine, endpoints, OnDemandSettings(open_orders=2, jobs_per_day=6, jobs_per_order=3))
    return Ordering(engine, orders, create_app(orders, Offered(engine), authenticator(), ADDRESSES, Health()))


def begin(engine: Engine, job: UUID) -> None:
    """The job runs."""
    with engine.begin() as connection:
        connection.execute(update(Job).where(Job.id == job).values(state=State.GENERATING, generation="SENT"))
    execution.place(engine, job, Phase.RUNNING, "runs", "node")


def end(engine: Engine, job: UUID, outcome: Outcome = Outcome.OK, products: tuple[str, ...] = ()) -> None:
    """The job ends, as execution does it."""
    with execution.ending(engine, job, 0) as connection:
        assert connection is not None
        execution.keep_result(connection, job, products, None)
        execution.end(connection, job, outcome, f"ended with {outcome}")


def ids(engine: Engine) -> list[UUID]:
    with engine.connect() as connection:
        return list(connection.execute(select(Job.id).order_by(Job.start_time)).scalars())


def test_an_order_is_followed_to_its_products(engine: Engine, ordering: Ordering, slices: Catalogued) -> None:
    order = ordering.place({"products": [slice_name(0), slice_name(1)]})
    assert (order["status"], order["progress"]) == ("accepted", 0)
    made = jobs(engine)
    assert [job["request_id"] for job in made] == [UUID(order["jobID"])] * 2
    assert {(job["priority"], job["state"], job["chain"]) for job in made} == {(900, "WAITING", "s1-l1")}
    first, second = ids(engine)
    slices.preparation.examine(first)
    assert "waits for" in ordering.state(order["jobID"])["message"]
    results = f"/ogc/jobs/{order['jobID']}/results"
    early = ordering.client().get(results)
    assert (early.status_code, early.json()["type"].rpartition("/")[2]) == (404, "result-not-ready")
    begin(engine, first)
    assert ordering.state(order["jobID"])["status"] == "running"
    end(engine, first, products=(MADE.format(1), MADE.format(2)))
    assert ordering.state(order["jobID"])["progress"] == 50
    begin(engine, second)
    end(engine, second, Outcome.WARNING)
    done = ordering.state(order["jobID"])
    assert (done["status"], done["progress"]) == ("successful", 100)
    assert done["started"] <= done["finished"] == done["updated"]
    publish(engine, event(MADE.format(1) + ".zip", b"x"))
    found = ordering.client().get(results).json()["products"]
    assert found[0]["href"].startswith("https://prip.example.test/odata/v1/Products(")
    assert found[0]["title"] == MADE.format(1) + ".zip"
    assert "not published yet" in found[1]["title"]


def test_an_order_that_failed_tells_why_and_what_was_made(engine: Engine, ordering: Ordering) -> None:
    order = ordering.place({"products": [slice_name(0), slice_name(1)]})
    first, second = ids(engine)
    for job, outcome, products in ((first, Outcome.OK, (MADE.format(1),)), (second, Outcome.NOK, ())):
        begin(engine, job)
        end(engine, job, outcome, products)
    found = ordering.state(order["jobID"])
    assert found["status"] == "failed" and "1 of 2 jobs failed: ended with NOK" in found["message"]
    assert [len(job["products"]) for job in found["jobs"]] == [1, 0]
    assert ordering.client().get(f"/ogc/jobs/{order['jobID']}/results").status_code == 409


def test_products_are_chosen_by_time_and_area(engine: Engine, ordering: Ordering) -> None:
    day = f"{NOON:%Y-%m-%d}T00:00:00Z/{NOON:%Y-%m-%d}T23:59:59Z"
    ordering.place({"datetime": day, "bbox": {"bbox": [99, -1, 101, 1]}})
    assert [job["facts"]["name"] for job in jobs(engine)] == [slice_name(2)]
    ordering.place({"polygon": SQUARE}, user="bert")
    assert len(ids(engine)) == 3
    for nothing in ({"datetime": "2020-01-01/2020-01-02"}, {"bbox": {"bbox": [50, 50, 51, 51]}}):
        assert ordering.client().post(EXECUTION, json={"inputs": nothing}).status_code == 400


def test_an_order_makes_jobs_beside_those_of_events(engine: Engine, ordering: Ordering, slices: Catalogued) -> None:
    slices.preparation.take(slices.known[slice_name(0)])
    before = ids(engine)
    ordering.place({"products": slice_name(0)})
    ordering.place({"products": slice_name(0)}, user="bert")
    assert len(set(ids(engine)) - set(before)) == 2


def test_everybody_sees_his_own(ordering: Ordering) -> None:
    order = ordering.place({"products": slice_name(0)})["jobID"]
    ordering.place({"products": slice_name(1)}, user="bert")
    assert [each["jobID"] for each in ordering.client().get("/ogc/jobs").json()["jobs"]] == [order]
    assert len(ordering.client("olga", OPERATOR).get("/ogc/jobs").json()["jobs"]) == 2
    page = ordering.client("olga", OPERATOR).get("/ogc/jobs", params={"limit": 1}).json()
    assert len(page["jobs"]) == 1 and page["links"][-1]["rel"] == "next"
    for method, path in (("GET", ""), ("GET", "/results"), ("DELETE", "")):
        assert ordering.client("bert").request(method, f"/ogc/jobs/{order}{path}").status_code == 404
    assert ordering.client("olga", OPERATOR).get(f"/ogc/jobs/{order}").status_code == 200


def test_an_order_is_dismissed_once(engine: Engine, ordering: Ordering) -> None:
    order = ordering.place({"products": [slice_name(0), slice_name(1)]})["jobID"]
    first, _ = ids(engine)
    begin(engine, first)
    end(engine, first)
    answer = ordering.client().delete(f"/ogc/jobs/{order}")
    assert (answer.status_code, answer.json()["status"]) == (200, "dismissed")
    assert sorted(job["outcome"] for job in jobs(engine)) == ["CANCELLED", "OK"]
    assert ordering.client().delete(f"/ogc/jobs/{order}").status_code == 410


def test_the_same_key_is_the_same_order(engine: Engine, ordering: Ordering) -> None:
    body, key = {"inputs": {"products": slice_name(0)}}, {"Idempotency-Key": "one"}
    answers = [ordering.client().post(EXECUTION, json=body, headers=key) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["jobID"] for answer in answers}) == len(ids(engine)) == 1
    other = {"inputs": {"products": slice_name(1)}}
    assert ordering.client().post(EXECUTION, json=other, headers=key).status_code == 409


def test_quotas(engine: Engine, ordering: Ordering) -> None:
    def refused(inputs: dict[str, Any]) -> str:
        answer = ordering.client().post(EXECUTION, json={"inputs": inputs})
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0
        return str(answer.json()["detail"])

    three = {"products": [slice_name(number) for number in range(3)]}
    orders = [ordering.place(three)["jobID"] for _ in range(2)]
    assert "open-orders" in refused({"products": slice_name(0)})
    ordering.place({"products": slice_name(0)}, user="bert")
    for order in orders:
        ordering.client().delete(f"/ogc/jobs/{order}")
    assert "jobs-per-day" in refused({"products": slice_name(0)})
    with engine.begin() as connection:
        connection.execute(update(Job).values(created=func.now() - timedelta(days=2)))
    ordering.place({"products": slice_name(0)})


def test_subscribers_are_told_once_of_each_step(
    engine: Engine, ordering: Ordering, receiver: Receiver, sender: Sender
) -> None:
    root = receiver.url.removesuffix("/notify")
    uris = {f"{name}Uri": f"{root}/{name}" for name in ("success", "inProgress", "failed")}
    order = ordering.place({"products": slice_name(0)}, subscriber=uris)
    (job,) = ids(engine)

    def told() -> list[tuple[str, str]]:
        ordering.tell()
        ordering.tell()
        drain(sender)
        return [(each.path, each.json.get("status", "")) for each in receiver.received]

    assert told() == []
    begin(engine, job)
    assert told() == [("/inProgress", "running")]
    end(engine, job, products=(MADE.format(1),))
    assert told() == [("/inProgress", "running")], "its product can't be downloaded yet"
    publish(engine, event(MADE.format(1), b"x"))
    assert told() == [("/inProgress", "running"), ("/success", "")]
    assert receiver.received[-1].json["products"][0]["title"] == MADE.format(1)
    assert all(verified(each, order["subscriberSecret"]) for each in receiver.received)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(OrderChange)).scalar_one() == 0


def test_failure_is_told_to_its_own_address(
    engine: Engine, ordering: Ordering, receiver: Receiver, sender: Sender
) -> None:
    root = receiver.url.removesuffix("/notify")
    subscriber = {"successUri": f"{root}/success", "failedUri": f"{root}/failed"}
    ordering.place({"products": slice_name(0)}, subscriber=subscriber)
    (job,) = ids(engine)
    begin(engine, job)
    end(engine, job, Outcome.NOK)
    ordering.tell()
    drain(sender)
    assert [(each.path, each.json["status"]) for each in receiver.received] == [("/failed", "failed")]


def test_nobody_is_told_inside_the_environment(engine: Engine, ordering: Ordering) -> None:
    for url in ("https://10.0.0.1/x", "http://example.org/x", "https://169.254.169.254/latest"):
        body = {"inputs": {"products": slice_name(0)}, "subscriber": {"successUri": url}}
        assert ordering.client().post(EXECUTION, json=body).status_code == 400
    assert ids(engine) == []


def test_jobs_of_nobody_are_noted_nowhere(engine: Engine, ordering: Ordering, slices: Catalogued) -> None:
    slices.preparation.take(slices.known[slice_name(0)])
    ordering.place({"products": slice_name(1)})
    for job in ids(engine):
        begin(engine, job)
        end(engine, job)
    with engine.connect() as connection:
        for table in (OrderChange, notification):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_orders_are_forgotten_with_their_jobs(engine: Engine, ordering: Ordering) -> None:
    order = ordering.place({"products": slice_name(0)})["jobID"]
    ordering.orders.forget_old()
    assert ordering.state(order)["status"] == "accepted"
    with engine.begin() as connection:
        connection.execute(delete(Job))
    ordering.orders.forget_old()
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(OrderRequest)).scalar_one() == 0
