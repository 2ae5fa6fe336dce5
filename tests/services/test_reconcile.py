"""Reconciliation on real PostgreSQL, Kafka and S3: every kind of disagreement, found, repaired, and no more."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, delete, func, insert, select, update
from tests.means.chain import kafka_variables, s3_variables
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.services.conftest import CHECKOUT, Bus, wait_until
from tests.services.kept import catalogue, keep, name_of, operations_api
from tests.services.published import BUCKET, EPOCH

from refsys.services.catalogue.tables import LOST, VALID, Product
from refsys.services.common.bus import Producer
from refsys.services.common.messages import CATALOG_EVENT, CATALOG_JOB, CatalogEvent, CatalogJob, iso
from refsys.services.common.settings import DatabaseSettings, KafkaSettings
from refsys.services.common.store import ObjectStore, StoreUnavailableError
from refsys.services.distribution.model import product
from refsys.services.distribution.publisher import publish
from refsys.services.ingestion.tables import StoredFile
from refsys.services.lifecycle import actions
from refsys.services.lifecycle.policies import Policies
from refsys.services.lifecycle.record import record
from refsys.services.lifecycle.tables import Storage
from refsys.services.reconciliation.compare import Kind
from refsys.services.reconciliation.runs import Reconciler, request
from refsys.services.reconciliation.tables import DONE, FAILED, RUNNING, finding, orphan, run

GOOD, STORED, UNKNOWN, GONE, SHORT, UNPUBLISHED, UNCATALOGUED, HOLLOW = (name_of(number) for number in range(8))


@pytest.fixture
def producer(kafka_settings: Callable[[str], KafkaSettings]) -> Producer:
    return Producer(kafka_settings("reconcile"), "reconcile")


@pytest.fixture
def reconciler(engine: Engine, store: ObjectStore, producer: Producer) -> Reconciler:
    return Reconciler(engine, store, producer, settle_seconds=-5)


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Iterator[TestClient]:
    with operations_api(engine, tmp_path) as client:
        yield client


@pytest.fixture
def disagreeing(engine: Engine, store: ObjectStore) -> None:
    """One product that is well, and one of each disagreement."""
    for name in (GOOD, GONE, SHORT, UNCATALOGUED, HOLLOW):
        keep(engine, store, name)
    with engine.begin() as connection:
        connection.execute(delete(Product).where(Product.name.in_([UNCATALOGUED, HOLLOW])))
    for name in (GONE, HOLLOW):
        store.delete(BUCKET, name)
    store.put(BUCKET, SHORT, [b"con"], 3)
    store.put(BUCKET, UNPUBLISHED, [b"content"], 7)
    catalogue(engine, UNPUBLISHED)
    for name in (STORED, UNKNOWN):
        store.put(BUCKET, name, [b"content"], 7)
    with engine.begin() as connection:
        connection.execute(
            insert(StoredFile).values(
                name=STORED, size=7, checksums=[{"algorithm": "MD5", "value": "0", "checksum_date": iso(EPOCH)}],
                storage_path=f"s3://{BUCKET}/{STORED}", family="AUXILIARY_FILE", mission="S1", station="MTI_",
                publication_date=EPOCH, seen=EPOCH, stored=EPOCH,
            )
        )  # fmt: skip


def reconcile(engine: Engine, reconciler: Reconciler, **options: bool) -> dict[str, Any]:
    identifier = request(engine, repair=options.get("repair", False), delete_orphans=options.get("delete", False))
    assert reconciler.carry_out_requested() == [identifier]
    with engine.connect() as connection:
        row = connection.execute(select(run).where(run.c.id == identifier)).one()
    assert row.state == DONE, row.reason
    report: dict[str, Any] = row.report
    return report


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {kind: found["count"] for kind, found in report["findings"].items() if found["count"]}


EXPECTED = {
    Kind.ORPHAN: 2,
    Kind.LOST: 1,
    Kind.WRONG_SIZE: 1,
    Kind.UNCATALOGUED: 2,
    Kind.UNPUBLISHED: 1,
}


def states(engine: Engine) -> dict[str, tuple[str | None, bool | None]]:
    """Catalogue state and PRIP's Online of every known product."""
    with engine.connect() as connection:
        known: dict[str, str] = dict(connection.execute(select(Product.name, Product.state)).all())
        online: dict[str, bool] = dict(connection.execute(select(product.c.name, product.c.online)).all())
    return {name: (known.get(name), online.get(name)) for name in known | online}


@pytest.mark.usefixtures("disagreeing")
def test_a_report_changes_nothing(engine: Engine, store: ObjectStore, reconciler: Reconciler, bus: Bus) -> None:
    before = states(engine)
    report = reconcile(engine, reconciler)
    assert counts(report) == EXPECTED
    assert (report["objects"], report["catalogued"], report["published"]) == (6, 4, 5)
    assert report["findings"][Kind.WRONG_SIZE]["examples"] == [
        {"bucket": BUCKET, "key": SHORT, "detail": "object 3 bytes, catalogue 7 bytes, PRIP 7 bytes, state VALID",
         "action": ""}
    ]  # fmt: skip
    assert states(engine) == before
    assert bus.read(CATALOG_JOB, 0) == bus.read(CATALOG_EVENT, 0) == []
    assert store.head(BUCKET, UNKNOWN) is not None


@pytest.mark.usefixtures("disagreeing")
def test_repair_does_the_safe_thing_for_each(
    engine: Engine, store: ObjectStore, reconciler: Reconciler, bus: Bus
) -> None:
    for _ in range(2):  # the second time does no harm
        assert counts(reconcile(engine, reconciler, repair=True)) == EXPECTED
    assert states(engine) == {
        GOOD: (VALID, True),
        GONE: (LOST, False),
        SHORT: (LOST, False),
        UNPUBLISHED: (VALID, None),
        UNCATALOGUED: (None, True),
        HOLLOW: (None, False),
    }
    jobs = [CatalogJob.model_validate_json(text) for text in bus.read(CATALOG_JOB, 4)]
    assert sorted(job.key_object_storage for job in jobs) == [STORED, STORED, UNCATALOGUED, UNCATALOGUED]
    assert {(job.storage_path, job.product_size_byte, job.product_family) for job in jobs} == {
        (f"s3://{BUCKET}/{name}", 7, "AUXILIARY_FILE") for name in (STORED, UNCATALOGUED)
    }
    (event, again) = [CatalogEvent.model_validate_json(text) for text in bus.read(CATALOG_EVENT, 2)]
    assert event == again
    publish(engine, event)
    assert states(engine)[UNPUBLISHED] == (VALID, True)
    with engine.connect() as connection:
        assert connection.execute(select(orphan.c.key)).scalars().all() == [UNKNOWN]
    assert store.head(BUCKET, UNKNOWN) is not None


@pytest.mark.usefixtures("disagreeing")
def test_orphans_are_deleted_only_if_asked_for_and_quarantined_before(
    engine: Engine, store: ObjectStore, reconciler: Reconciler
) -> None:
    first = reconcile(engine, reconciler, repair=True, delete=True)
    assert first["findings"][Kind.ORPHAN]["actions"] == {"catalogue job sent": 1, "quarantined": 1}
    assert store.head(BUCKET, UNKNOWN) is not None
    second = reconcile(engine, reconciler, repair=True, delete=True)
    assert second["findings"][Kind.ORPHAN]["actions"] == {"catalogue job sent": 1, "deleted": 1}
    assert store.head(BUCKET, UNKNOWN) is None
    assert store.head(BUCKET, STORED) is not None
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(orphan)).scalar_one() == 0


def test_a_lost_object_that_is_found_again_makes_its_product_valid(
    engine: Engine, store: ObjectStore, reconciler: Reconciler
) -> None:
    keep(engine, store, GOOD)
    store.delete(BUCKET, GOOD)
    reconcile(engine, reconciler, repair=True)
    assert states(engine) == {GOOD: (LOST, False)}
    store.put(BUCKET, GOOD, [b"content"], 7)
    assert counts(reconcile(engine, reconciler, repair=True)) == {Kind.FOUND_AGAIN: 1}
    assert states(engine) == {GOOD: (VALID, True)}
    assert counts(reconcile(engine, reconciler)) == {}


def test_what_is_on_its_way_is_left_alone(engine: Engine, store: ObjectStore, producer: Producer) -> None:
    store.put(BUCKET, UNKNOWN, [b"content"], 7)
    catalogue(engine, GONE)
    assert counts(reconcile(engine, Reconciler(engine, store, producer, settle_seconds=600))) == {}


def test_what_is_being_evicted_is_no_disagreement(engine: Engine, store: ObjectStore, reconciler: Reconciler) -> None:
    policies = Policies.model_validate({"days_after_compression": 6, "policies": [{"family": ".*", "days": 7}]})
    record(engine, policies, keep(engine, store, GONE))
    actions.evict_now(engine, GONE, list(Storage), "olga")
    with engine.begin() as connection:
        connection.execute(delete(product))
    assert counts(reconcile(engine, reconciler)) == {}


def test_buckets_are_compared_whole_and_in_order(engine: Engine, store: ObjectStore, reconciler: Reconciler) -> None:
    """More than one page of objects and rows, with keys whose order depends on the comparison."""
    names = [f"{name_of(number)[:20]}{mark}{number:05d}" for number in range(350) for mark in ("-", "a", "Z")]
    with engine.begin() as connection:
        for name in names:
            store.put(BUCKET, name, [b"x"], 1)
        connection.execute(
            insert(StoredFile),
            [
                {"name": name, "size": 1, "checksums": [], "storage_path": f"s3://{BUCKET}/{name}", "family": "x",
                 "mission": "S1", "station": "x", "publication_date": EPOCH, "seen": EPOCH, "stored": EPOCH}
                for name in names
            ],
        )  # fmt: skip
    report = reconcile(engine, reconciler)
    assert counts(report) == {Kind.ORPHAN: len(names)}
    assert len(report["findings"][Kind.ORPHAN]["examples"]) == 20
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(finding)).scalar_one() == len(names)


def test_a_failing_store_fails_the_run_with_its_reason(
    engine: Engine, store: ObjectStore, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(_: str) -> Any:
        raise StoreUnavailableError("no route to the object store")

    monkeypatch.setattr(store, "list", down)
    request(engine, repair=True, delete_orphans=False)
    Reconciler(engine, store, producer, 0).carry_out_requested()
    with engine.connect() as connection:
        row = connection.execute(select(run)).one()
    assert row.state == FAILED
    assert "no route to the object store" in row.reason


@pytest.mark.usefixtures("disagreeing")
def test_operators_start_a_run_and_read_its_report(engine: Engine, reconciler: Reconciler, api: TestClient) -> None:
    root = "/operations/v1/reconciliations"
    assert api.post(root, json={"deleteOrphans": True}).status_code == 400
    started = api.post(root, json={"repair": False})
    assert started.status_code == 202
    identifier = started.json()["id"]
    assert api.get(f"{root}/{identifier}/report").status_code == 409
    reconciler.carry_out_requested()
    (summary,) = api.get(root).json()
    assert (summary["state"], summary["operatorName"]) == (DONE, "olga")
    assert counts(api.get(f"{root}/{identifier}").json()["report"]) == EXPECTED
    text = api.get(f"{root}/{identifier}/report", headers={"Accept": "text/plain"}).text
    assert f"{BUCKET}/{UNKNOWN}" in text
    lost = api.get(f"{root}/{identifier}/findings", params={"kind": Kind.LOST}).json()
    assert [found["key"] for found in lost] == [GONE]
    assert api.get(f"{root}/00000000-0000-0000-0000-000000000000").status_code == 404


@pytest.mark.usefixtures("disagreeing")
def test_the_command_and_a_run_that_was_killed(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    database: DatabaseSettings,
    bus: Bus,
    kafka_server: Kafka,
    s3_server: S3,
) -> None:
    for number in range(400):
        store.put(BUCKET, name_of(number, "AUX_POEORB"), [b"x"], 1)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        "REFSYS_RECONCILIATION_SETTLE_SECONDS": "0",
        **s3_variables(s3_server),
        **kafka_variables(kafka_server, "reconcile"),
    }
    with engine.begin() as connection:  # older than the clocks' differences
        connection.execute(update(Product).values(modified=EPOCH))
    command = [sys.executable, "-m", "refsys.services", "reconcile", "--repair", "--format", "json"]

    def quarantined() -> int:
        with engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(orphan)).scalar_one()

    killed = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: quarantined() > 5, 60, "in the middle of the run")
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)
    with engine.connect() as connection:
        assert connection.execute(select(run.c.state)).scalars().all() == [RUNNING]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout[done.stdout.index("\n{\n") :])
    assert counts(report)[Kind.ORPHAN] == 402
    with engine.connect() as connection:
        assert connection.execute(select(run.c.state)).scalars().all() == [DONE, DONE]
        numbers = select(finding.c.run_id, func.count()).group_by(finding.c.run_id)
        assert {count for _, count in connection.execute(numbers)} == {407}
    assert bus.read(CATALOG_EVENT, 1)
    wrong = subprocess.run([*command[:-3], "--delete-orphans"], env=environment, check=False, capture_output=True)
    assert wrong.returncode == 2
