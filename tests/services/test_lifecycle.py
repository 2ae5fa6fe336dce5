"""Lifecycle on real PostgreSQL, Kafka and S3: retention from events, eviction killed at every step, operators."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, func, select, update
from tests.means.chain import kafka_variables, s3_variables
from tests.means.issuer import bearer
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.services.conftest import CHECKOUT, wait_until
from tests.services.kept import keep, name_of, operations_api
from tests.services.published import BUCKET, event

from refsys.services.catalogue.tables import Product
from refsys.services.common.bus import Producer
from refsys.services.common.messages import (
    CATALOG_EVENT,
    COMPRESSION_EVENT,
    CatalogEvent,
    CompressionEvent,
    iso,
    utc_now,
)
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, LifecycleSettings, load
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.model import product
from refsys.services.lifecycle import actions
from refsys.services.lifecycle.evictor import Evictor
from refsys.services.lifecycle.policies import Policies, load_policies
from refsys.services.lifecycle.record import record
from refsys.services.lifecycle.tables import DONE, Storage, data, eviction

NAME = name_of(1)
DAY = timedelta(days=1)
BOTH = list(Storage)


@pytest.fixture(scope="module")
def policies() -> Policies:
    return load_policies(load(LifecycleSettings).policies_file)


@pytest.fixture
def evictor(engine: Engine, store: ObjectStore) -> Evictor:
    return Evictor(engine, store)


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Iterator[TestClient]:
    with operations_api(engine, tmp_path) as client:
        yield client


def row_of(engine: Engine, name: str = NAME) -> Any:
    with engine.connect() as connection:
        return connection.execute(select(data).where(data.c.product_name == name)).mappings().one_or_none()


def shown_date(engine: Engine, name: str = NAME) -> datetime | None:
    with engine.connect() as connection:
        date: datetime | None = connection.execute(
            select(product.c.eviction_date).where(product.c.name == name)
        ).scalar_one()
        return date


def compressed(name: str, **changes: Any) -> CompressionEvent:
    values = event(f"{name}.zip").model_dump() | {"product_family": "L0_SLICE_ZIP", "mission_id": "S1"}
    values |= {"output_product_family": "L0_SLICE_ZIP", "output_key_object_storage": f"{name}.zip"}
    return CompressionEvent(**(values | {"compression_direction": "COMPRESS"} | changes))


def left_of(engine: Engine, store: ObjectStore, name: str) -> tuple[bool, bool, bool, bool]:
    """Whether PRIP, catalogue, store, lifecycle know a product."""
    with engine.connect() as connection:
        published = connection.execute(select(product.c.id).where(product.c.name == name)).first()
        catalogued = connection.execute(select(Product.id).where(Product.name == name)).first()
    return bool(published), bool(catalogued), store.head(BUCKET, name) is not None, row_of(engine, name) is not None


def test_events_make_the_document_in_any_order_and_any_number(engine: Engine, policies: Policies) -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    insertion = event(NAME, product_family="L0_SLICE", creation_date=moment)
    compression = compressed(NAME, creation_date=moment + DAY)
    seen = []
    for order in ([insertion, compression], [compression, insertion]):
        for each in order * 2:
            record(engine, policies, each)
        document = dict(row_of(engine))
        assert document["path_in_uncompressed_storage"] == f"s3://{BUCKET}/{NAME}"
        assert document["product_family_in_compressed_storage"] == "L0_SLICE_ZIP"
        assert document["last_insertion_in_uncompressed_storage"] == moment
        assert document["eviction_date_in_uncompressed_storage"] == moment + 7 * DAY  # a day, then 6 days
        assert document["eviction_date_in_compressed_storage"] == moment + 8 * DAY
        seen.append({key: value for key, value in document.items() if key not in ("last_modified", "prip_pending")})
        with engine.begin() as connection:
            connection.execute(data.delete())
    assert seen[0] == seen[1]


def test_the_same_event_again_does_not_undo_a_prolongation(engine: Engine, policies: Policies) -> None:
    given = event(NAME, product_family="L0_SLICE")
    record(engine, policies, given)
    later = utc_now().replace(microsecond=0) + 100 * DAY
    actions.prolong(engine, NAME, BOTH, later)
    record(engine, policies, given)
    assert row_of(engine)["eviction_date_in_uncompressed_storage"] == later


def test_the_prip_shows_the_date_even_if_the_product_is_published_later(
    engine: Engine, store: ObjectStore, policies: Policies, evictor: Evictor
) -> None:
    record(engine, policies, event(NAME, product_family="L0_SLICE"))
    evictor.round()
    assert row_of(engine)["prip_pending"] is not None
    keep(engine, store, NAME)
    assert shown_date(engine) is None
    with engine.begin() as connection:
        connection.execute(update(data).values(prip_pending=func.now()))
    evictor.round()
    assert shown_date(engine) == row_of(engine)["eviction_date_in_uncompressed_storage"] is not None
    assert row_of(engine)["prip_pending"] is None
    later = utc_now().replace(microsecond=0) + 100 * DAY
    actions.prolong(engine, NAME, BOTH, later)
    evictor.round()
    assert shown_date(engine) == later
    actions.set_persistent(engine, NAME, BOTH, persistent=True)
    evictor.round()
    assert shown_date(engine) is None


def test_what_is_due_is_evicted_everywhere_and_nothing_else(
    engine: Engine, store: ObjectStore, policies: Policies, evictor: Evictor
) -> None:
    names = [name_of(number) for number in range(4)]
    for name in names:
        record(engine, policies, keep(engine, store, name, product_family="L1_SLICE", creation_date=utc_now() - DAY))
    due, persistent, prolonged, _ = names
    with engine.begin() as connection:
        past = update(data).values(eviction_date_in_uncompressed_storage=utc_now() - timedelta(minutes=1))
        connection.execute(past.where(data.c.product_name.in_([due, persistent, prolonged])))
    actions.set_persistent(engine, persistent, BOTH, persistent=True)
    actions.prolong(engine, prolonged, BOTH, utc_now() + DAY)
    assert evictor.round() == 1
    assert left_of(engine, store, due) == (False, False, False, False)
    assert [left_of(engine, store, name) for name in names[1:]] == [(True, True, True, True)] * 3
    assert evictor.round() == 0


class KilledError(BaseException):
    """The process is gone here."""


STEPS = ["_unpublish", "_remove_from_catalogue", "_delete_object", "_finish"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_the_next_round_goes_on(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    policies: Policies,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    after: bool,
) -> None:
    record(engine, policies, keep(engine, store, NAME, creation_date=utc_now() - DAY))
    actions.evict_now(engine, NAME, BOTH, "olga")
    real = getattr(Evictor, step)

    def killed(self: Evictor, *arguments: Any) -> Any:
        if after:
            real(self, *arguments)
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(Evictor, step, killed)
        with pytest.raises(KilledError):
            Evictor(engine, store).round()
    published, catalogued, stored, _ = left_of(engine, store, NAME)
    # From the outside inwards: what is published is catalogued, what is catalogued is stored.
    assert published <= catalogued <= stored
    Evictor(engine, store).round()
    assert left_of(engine, store, NAME) == (False, False, False, False)
    with engine.connect() as connection:
        (row,) = connection.execute(select(eviction)).mappings().all()
    assert (row["state"], row["cause"], row["operator_name"]) == (DONE, "OPERATOR", "olga")


def test_a_store_that_fails_is_tried_again_with_its_reason_seen(
    engine: Engine, store: ObjectStore, policies: Policies, evictor: Evictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(engine, policies, keep(engine, store, NAME, creation_date=utc_now() - DAY))
    actions.evict_now(engine, NAME, BOTH, "olga")
    with monkeypatch.context() as patched:
        patched.setattr(store, "delete", lambda *_: (_ for _ in ()).throw(OSError("no space")))
        evictor.round()
    (row,) = actions.evictions(engine, 0, 10, finished=False)
    assert (row["state"], row["attempts"]) == ("UNCATALOGUED", 1)
    assert "no space" in row["reason"]
    assert evictor.round() == 0  # not before its time
    with engine.begin() as connection:
        connection.execute(update(eviction).values(retry_at=func.now()))
    evictor.round()
    assert left_of(engine, store, NAME) == (False, False, False, False)


def test_a_late_copy_of_an_event_does_not_bring_an_evicted_product_back(
    engine: Engine, store: ObjectStore, policies: Policies, evictor: Evictor
) -> None:
    given = keep(engine, store, NAME, creation_date=utc_now() - DAY)
    record(engine, policies, given)
    actions.evict_now(engine, NAME, BOTH, "olga")
    evictor.round()
    record(engine, policies, given)
    assert row_of(engine) is None
    again = keep(engine, store, NAME, creation_date=utc_now())
    record(engine, policies, again)
    assert row_of(engine)["path_in_uncompressed_storage"] == f"s3://{BUCKET}/{NAME}"


def test_what_was_ingested_again_during_its_eviction_stays(
    engine: Engine, store: ObjectStore, policies: Policies, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(engine, policies, keep(engine, store, NAME, creation_date=utc_now() - DAY))
    actions.evict_now(engine, NAME, BOTH, "olga")
    with monkeypatch.context() as patched:
        patched.setattr(Evictor, "_delete_object", lambda *_: (_ for _ in ()).throw(KilledError))
        with pytest.raises(KilledError):
            Evictor(engine, store).round()
    with pytest.raises(actions.RefusedError, match="has begun"):
        actions.prolong(engine, NAME, BOTH, utc_now() + DAY)
    time.sleep(1.1)  # the store's clock has seconds
    again = keep(engine, store, NAME, creation_date=utc_now())
    record(engine, policies, again)
    Evictor(engine, store).round()
    assert left_of(engine, store, NAME) == (True, True, True, True)


def test_operators_query_prolong_persist_and_evict(
    engine: Engine, store: ObjectStore, policies: Policies, evictor: Evictor, api: TestClient
) -> None:
    names = [name_of(number) for number in range(5)]
    for name in names:
        record(engine, policies, keep(engine, store, name, product_family="L0_SLICE", creation_date=utc_now() - DAY))
    root = "/operations/v1/lifecycle"
    page = api.get(f"{root}/products", params={"size": 2, "page": 1}).json()
    assert [document["ProductName"] for document in page] == names[2:4]
    assert {
        "PathInUncompressedStorage", "ProductFamilyInUncompressedStorage", "EvictionDateInUncompressedStorage",
        "LastInsertionInUncompressedStorage", "PersistentInUncompressedStorage", "PathInCompressedStorage",
        "ProductFamilyInCompressedStorage", "EvictionDateInCompressedStorage", "LastInsertionInCompressedStorage",
        "PersistentInCompressedStorage", "AvailableInLta", "LastModified", "LastDataRequest", "ProductName",
    } <= page[0].keys()  # fmt: skip
    later = utc_now() + 50 * DAY
    answer = api.post(
        f"{root}/prolong", json={"productNames": [names[0], "nothing"], "evictionDate": iso(later)}
    ).json()
    assert answer["results"] == [
        {"productName": names[0], "done": True},
        {"productName": "nothing", "done": False, "reason": "no product of this name is kept"},
    ]
    past = {"productNames": names[:1], "evictionDate": "2020-01-01T00:00:00Z"}
    assert "has passed" in api.post(f"{root}/prolong", json=past).json()["results"][0]["reason"]
    count = f"{root}/products/count"
    assert api.get(count, params={"evictedBefore": iso(utc_now() + 40 * DAY)}).json() == 4
    assert api.get(count, params={"family": "L0_SLICE", "name": "000003"}).json() == 1
    persist = {"productNames": names[1:2], "persistent": True}
    assert api.post(f"{root}/persist", json=persist).json()["results"][0]["done"] is True
    assert api.get(count, params={"persistent": True}).json() == 1
    results = api.post(f"{root}/evict", json={"productNames": names[1:3]}).json()["results"]
    assert [result["done"] for result in results] == [False, True]
    assert "persistent" in results[0]["reason"]
    (open_eviction,) = api.get(f"{root}/evictions").json()
    assert (open_eviction["ProductName"], open_eviction["OperatorName"]) == (names[2], "olga")
    evictor.round()
    assert api.get(f"{root}/evictions").json() == []
    assert api.get(f"{root}/evictions", params={"state": "done"}).json()[0]["State"] == "DONE"
    assert api.get(count).json() == 4


def test_only_operators(api: TestClient) -> None:
    path = "/operations/v1/lifecycle/products"
    assert api.get(path, headers=bearer()).status_code == 403
    assert api.get(path, headers={"Authorization": "Bearer x"}).status_code == 401
    assert api.get("/operations/v1/reconciliations", headers={"Authorization": ""}).status_code == 401
    assert api.get(path, params={"size": 5000}).status_code == 400
    assert "size" in api.get(path, params={"size": 5000}).json()["error"]["message"]
    assert api.post("/operations/v1/lifecycle/evict", json={"productNames": []}).status_code == 400
    assert api.get("/nothing").status_code == 404


def test_the_process_killed_while_it_evicts_leaves_nothing_half_done(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    database: DatabaseSettings,
    kafka_settings: Callable[[str], KafkaSettings],
    kafka_server: Kafka,
    s3_server: S3,
    tmp_path: Path,
) -> None:
    names = [name_of(number) for number in range(120)]
    kept, evicted = names[:20], names[20:]
    catalogue = Producer(kafka_settings("catalogue"), "catalogue")
    events: list[CatalogEvent] = []
    for name in names:
        events.append(keep(engine, store, name, product_family="L1_SLICE", creation_date=utc_now() - DAY))
        catalogue.send(CATALOG_EVENT, events[-1], name)
    catalogue.flush()
    compression = Producer(kafka_settings("compression-worker"), "compression-worker")
    compression.send(COMPRESSION_EVENT, compressed(names[0], product_family="L1_SLICE_ZIP"), names[0])
    compression.flush()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_OPERATIONS_PORT": "0",
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        **s3_variables(s3_server),
        **kafka_variables(kafka_server, "lifecycle"),
    }
    log = (tmp_path / "lifecycle.log").open("ab")

    def start() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "refsys.services", "lifecycle"]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def known() -> int:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(data)).scalar_one()

    def done() -> int:
        with engine.connect() as connection:
            statement = select(func.count()).select_from(eviction).where(eviction.c.state == DONE)
            return connection.execute(statement).scalar_one()

    def evictions(least: int) -> bool:
        return done() >= least

    running = start()
    try:
        wait_until(lambda: known() == len(names), 60, "all recorded")
        wait_until(lambda: row_of(engine, names[0])["path_in_compressed_storage"] is not None, 30, "compressed")
        wait_until(lambda: shown_date(engine, names[-1]) is not None, 30, "date shown")
        for name in evicted:
            actions.evict_now(engine, name, BOTH, "olga")
        for target in (1, 40):
            wait_until(partial(evictions, target), 60, "evictions")
            running.send_signal(signal.SIGKILL)
            running.wait(30)
            assert done() < len(evicted)
            running = start()
        wait_until(lambda: done() == len(evicted), 120, "all evicted")
        running.terminate()
        assert running.wait(60) == 0
    finally:
        if running.poll() is None:
            running.kill()
            running.wait()
        log.close()
    assert {left_of(engine, store, name) for name in evicted} == {(False, False, False, False)}
    assert {left_of(engine, store, name) for name in kept} == {(True, True, True, True)}
    lines = [json.loads(line) for line in (tmp_path / "lifecycle.log").read_text().splitlines()]
    assert "DataLifecycleWorker" in {line["task"]["name"] for line in lines if line["header"]["type"] == "REPORT"}
