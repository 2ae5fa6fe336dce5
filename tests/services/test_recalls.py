"""Orders of evicted products, from the PRIP to a long-term archive and back, on real PostgreSQL, Kafka and S3."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, select, update
from tests.means.generator import generate
from tests.means.lta import Lta
from tests.services.conftest import Bus, wait_until
from tests.services.ingesting import Ingestion
from tests.services.test_catalogue import job_of
from tests.services.test_orders import place, status
from tests.services.test_reconcile import counts, producer, reconcile, reconciler

from refsys.services.catalogue.service import Catalogue
from refsys.services.common.bus import Producer
from refsys.services.common.families import Family
from refsys.services.common.messages import CATALOG_EVENT, CATALOG_JOB, CatalogEvent, CatalogJob
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.delivery.model import recall
from refsys.services.distribution.model import product
from refsys.services.distribution.publisher import publish
from refsys.services.ingestion import recalls as serving
from refsys.services.ingestion import worker
from refsys.services.ingestion.inbox import RETRY_BASE_SECONDS
from refsys.services.ingestion.recalls import Recaller
from refsys.services.ingestion.stations import Inbox, LtaStation
from refsys.services.lifecycle import actions
from refsys.services.lifecycle.evictor import Evictor
from refsys.services.lifecycle.policies import Policies
from refsys.services.lifecycle.record import record
from refsys.services.lifecycle.tables import Storage, data
from refsys.services.reconciliation.runs import Reconciler

pytest_plugins = ("tests.services.prip", "tests.services.ingesting")

__all__ = ["producer", "reconciler"]  # fixtures
POLICIES = Policies.model_validate(
    {"days_after_compression": 6, "policies": [{"family": ".*", "days": 30, "available_in_lta": True}]}
)
BUCKET = "rs-s1-aux"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refsys.services.ingestion.inbox.RETRY_BASE_SECONDS", RETRY_BASE_SECONDS / 100)
    monkeypatch.setattr(worker, "ORDER_SECONDS", 0.05)


@pytest.fixture
def catalogue(engine: Engine, store: ObjectStore, kafka_settings: Callable[[str], KafkaSettings]) -> Catalogue:
    return Catalogue(engine, store, Producer(kafka_settings("catalogue"), "catalogue"))


@pytest.fixture
def lta(tmp_path: Path) -> Iterator[Lta]:
    folder = tmp_path / "archive"
    folder.mkdir()
    with Lta(folder) as means:
        yield means


@pytest.fixture
def station(lta: Lta, tmp_path: Path) -> LtaStation:
    password = tmp_path / "lta-password"
    password.write_text(lta.password)
    return LtaStation.model_validate(
        {
            "name": "LTA",
            "url": lta.url,
            "token_url": lta.token_url,
            "client_id": lta.client_id,
            "username": lta.username,
            "password_file": password,
            "on_demand": True,
            "inboxes": [Inbox(match=r".*\.EOF", family=Family.AUXILIARY_FILE, mission="S1")],
        }
    )


@pytest.fixture
def evicted(engine: Engine, store: ObjectStore, catalogue: Catalogue, bus: Bus, tmp_path: Path) -> Path:
    """A product that came in, was published and evicted; its file."""
    folder = tmp_path / "products"
    folder.mkdir()
    path = next(each for each in generate(folder, 5) if each.name.endswith(".EOF"))
    catalogue.handle(job_of(store, path))
    follow(engine, bus, 1)
    actions.evict_now(engine, path.name, list(Storage), "olga")
    Evictor(engine, store).round()
    assert store.head(BUCKET, path.name) is None
    return path


def follow(engine: Engine, bus: Bus, number: int) -> None:
    """Let publisher and lifecycle handle all catalogue events so far."""
    for text in bus.read(CATALOG_EVENT, number):
        event = CatalogEvent.model_validate_json(text)
        publish(engine, event)
        record(engine, POLICIES, event)


def product_of(engine: Engine) -> tuple[str, bool]:
    with engine.connect() as connection:
        row = connection.execute(select(product.c.id, product.c.online)).one()
    return str(row.id), row.online


def test_an_evicted_product_comes_back(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    bus: Bus,
    client: httpx.Client,
    ingestion: Callable[..., Ingestion],
    catalogue: Catalogue,
    lta: Lta,
    station: LtaStation,
    evicted: Path,
    reconciler: Reconciler,
) -> None:
    """Offline on the PRIP, ordered by two, ordered once at the archive, back with equal bytes, for three days."""
    content = evicted.read_bytes()
    (lta.folder / evicted.name).write_bytes(content)
    key, online = product_of(engine)
    assert not online
    assert not any(counts(reconcile(engine, reconciler)).values())
    value = f"/odata/v1/Products({key})/$value"
    assert client.get(value).status_code == 403
    orders = [place(client, key), place(client, key)]
    ingesting = ingestion(station)
    recaller = Recaller([station], engine, ingesting.pollers["LTA"]._intake._producer)
    assert ingesting.poll("LTA") == 0  # on demand: nothing is taken by itself
    recaller.round()
    recaller.round()
    assert status(client, orders[0])["Status"] == "in_progress"
    with ingesting.run_worker():
        wait_until(lambda: (ingesting.poll("LTA"), ingesting.count("STORED"))[1] == 1, 60)
    assert ingesting.count("STORED") == 1
    assert len(lta.orders) == 1
    evictor = Evictor(engine, store)
    evictor.round()
    assert status(client, orders[0])["Status"] == "in_progress"  # not catalogued yet
    for text in bus.read(CATALOG_JOB, 1):
        catalogue.handle(CatalogJob.model_validate_json(text))
    follow(engine, bus, 2)
    evictor.round()
    evictor.round()
    done = [status(client, order) for order in orders]
    assert [each["Status"] for each in done] == ["completed"] * 2
    assert client.get(value).content == content
    with engine.connect() as connection:
        date = connection.execute(select(data.c.eviction_date_in_uncompressed_storage)).scalar_one()
        assert connection.execute(select(product.c.eviction_date)).scalar_one() == date
        assert connection.execute(select(recall.c.state)).scalars().all() == ["completed"]


def test_an_evicted_product_that_comes_in_again_is_online(
    engine: Engine, store: ObjectStore, bus: Bus, catalogue: Catalogue, evicted: Path
) -> None:
    assert product_of(engine)[1] is False
    catalogue.handle(job_of(store, evicted))
    follow(engine, bus, 2)
    Evictor(engine, store).round()
    assert product_of(engine)[1] is True


def test_without_an_archive_that_has_it_the_order_fails(
    engine: Engine, client: httpx.Client, ingestion: Callable[..., Ingestion], station: LtaStation, evicted: Path
) -> None:
    key, _ = product_of(engine)
    producer = ingestion(station).producer
    order = place(client, key)
    Recaller([], engine, producer).round()
    failed = status(client, order)
    assert (failed["Status"], failed["StatusMessage"]) == (
        "failed",
        "the product cannot be brought back: no long-term archive is configured",
    )
    order = place(client, key)
    Recaller([station], engine, producer).round()
    assert status(client, order)["StatusMessage"].endswith("LTA does not have it"), evicted.name


def test_an_archive_that_does_not_answer_is_asked_again(  # noqa: PLR0917  # fixtures
    engine: Engine,
    client: httpx.Client,
    ingestion: Callable[..., Ingestion],
    lta: Lta,
    station: LtaStation,
    evicted: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("refsys.services.ingestion.sources.odata.TRIES", 1)
    (lta.folder / evicted.name).write_bytes(evicted.read_bytes())
    key, _ = product_of(engine)
    order = place(client, key)
    recaller = Recaller([station], engine, ingestion(station).pollers["LTA"]._intake._producer)
    lta.faults.down = True
    recaller.round()
    assert status(client, order)["Status"] == "in_progress"
    lta.faults.down = False
    with engine.begin() as connection:
        connection.execute(update(recall).values(leased_until=recall.c.requested))
    recaller.round()
    with engine.connect() as connection:
        assert connection.execute(select(recall.c.station)).scalar_one() == "LTA"
    lta.faults.down = True
    with engine.begin() as connection:
        late = recall.c.requested - serving.UNREACHABLE
        connection.execute(update(recall).values(leased_until=recall.c.requested, requested=late))
    recaller.round()
    assert status(client, order)["Status"] == "failed"


def test_other_content_at_the_archive_fails_the_order(  # noqa: PLR0917  # fixtures
    engine: Engine,
    client: httpx.Client,
    ingestion: Callable[..., Ingestion],
    lta: Lta,
    station: LtaStation,
    evicted: Path,
) -> None:
    """What was ingested once under the name is what the product is."""
    lta.polls = 1
    (lta.folder / evicted.name).write_bytes(b"something else")
    key, _ = product_of(engine)
    order = place(client, key)
    ingesting = ingestion(station)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO ingestion.stored_file (storage_path, name, size, checksums, family, mission, station, "
            "publication_date, seen, stored) SELECT 's3://' || bucket || '/' || object_key, name, content_length, "
            "checksums, 'AUXILIARY_FILE', 'S1', 'MTI_', now(), now(), now() FROM distribution.product"
        )
    recaller = Recaller([station], engine, ingesting.pollers["LTA"]._intake._producer)
    recaller.round()
    with ingesting.run_worker():
        wait_until(lambda: (ingesting.poll("LTA"), ingesting.count("QUARANTINED"))[1] == 1, 60)
    recaller.round()
    failed = status(client, order)
    assert failed["Status"] == "failed"
    assert "another content" in failed["StatusMessage"]
