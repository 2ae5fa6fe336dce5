"""Products that are folders in the store, and products with preview images, from the catalogue to their deletion."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Engine, select
from tests.means.documents import Times
from tests.means.product_documents import s1_manifest
from tests.services.conftest import Bus
from tests.services.test_lifecycle import left_of
from tests.services.test_reconcile import counts, producer, reconcile, reconciler

from refsys.services.catalogue.service import Catalogue
from refsys.services.catalogue.tables import Product
from refsys.services.common.bus import Producer, RejectedError
from refsys.services.common.families import QUICKLOOKS, Family
from refsys.services.common.messages import CATALOG_EVENT, CatalogEvent, CatalogJob, Trace, utc_now
from refsys.services.common.settings import KafkaSettings, LifecycleSettings, load
from refsys.services.common.store import ObjectStore
from refsys.services.compression.products import members
from refsys.services.distribution.publisher import publish
from refsys.services.lifecycle import actions
from refsys.services.lifecycle.evictor import Evictor
from refsys.services.lifecycle.policies import load_policies
from refsys.services.lifecycle.record import record
from refsys.services.lifecycle.tables import Storage
from refsys.services.reconciliation.runs import Reconciler
from refsys.services.search.deletion import Deletions

pytest_plugins = ("tests.services.prip",)
__all__ = ["producer", "reconciler"]  # fixtures

START = utc_now().replace(tzinfo=None, microsecond=0)
NAME = f"S1C_IW_GRDH_1SDV_{START:%Y%m%dT%H%M%S}_{START + timedelta(seconds=20):%Y%m%dT%H%M%S}_019684_021735_C6DB.SAFE"
MANIFEST = s1_manifest("C", Times(START, START, START + timedelta(seconds=20)), level=1).encode()
PNG = b"\x89PNG\r\n\x1a\n rest"
FILES = {"manifest.safe": MANIFEST, "measurement/a.tiff": b"a" * 1000, "preview/quick-look.png": PNG}
BUCKET, IMAGE = "rs-s1-l1-slices", f"{NAME}/quick-look.png"


@pytest.fixture
def catalogue(engine: Engine, store: ObjectStore, kafka_settings: Callable[[str], KafkaSettings]) -> Catalogue:
    return Catalogue(engine, store, Producer(kafka_settings("catalogue"), "catalogue"))


@pytest.fixture
def job(store: ObjectStore) -> CatalogJob:
    """The job of a product whose files lie in the store."""
    for path, content in FILES.items():
        store.put(BUCKET, f"{NAME}/{path}", [content], len(content))
    return CatalogJob(
        mission_id="S1",
        satellite_id="S1C",
        key_object_storage=NAME,
        storage_path=f"s3://{BUCKET}/{NAME}/",
        product_family=Family.L1_SLICE,
        product_size_byte=sum(map(len, FILES.values())),
        station_name="MTI_",
        checksums=[],
        trace=Trace(stored=utc_now()),
    )


def published(engine: Engine, bus: Bus) -> CatalogEvent:
    (text,) = bus.read(CATALOG_EVENT, 1)
    event = CatalogEvent.model_validate_json(text)
    publish(engine, event)
    record(engine, load_policies(load(LifecycleSettings).policies_file), event)
    return event


def test_a_folder_is_catalogued(  # noqa: PLR0917  # fixtures
    engine: Engine, store: ObjectStore, bus: Bus, catalogue: Catalogue, job: CatalogJob, client: httpx.Client
) -> None:
    """With the size of all files, and its image on the PRIP; again, nothing changes."""
    catalogue.handle(job)
    catalogue.handle(job)
    first, second = bus.read(CATALOG_EVENT, 2)
    assert first == second
    event = CatalogEvent.model_validate_json(first)
    assert (event.product_size_byte, event.checksums) == (job.product_size_byte, [])
    assert (event.key_object_storage, event.storage_path) == (NAME, f"s3://{BUCKET}/{NAME}")
    assert [each.path for each in members(store, event.storage_path, event.product_size_byte)] == sorted(
        f"{NAME}/{path}" for path in FILES
    )
    publish(engine, event)
    images = f"/odata/v1/Products({event.product_id})/Quicklooks"
    assert [each["Image"] for each in client.get(images).json()["value"]] == ["quick-look.png"]
    value = client.get(f"{images}('quick-look.png')/$value")
    assert (value.content, value.headers["Content-Type"]) == (PNG, "image/png")


def test_a_folder_that_is_not_complete_is_refused(engine: Engine, catalogue: Catalogue, job: CatalogJob) -> None:
    with pytest.raises(RejectedError, match="when all of it is stored"):
        catalogue.handle(job.model_copy(update={"product_size_byte": job.product_size_byte + 1}))
    with pytest.raises(RejectedError, match="not in the store"):
        catalogue.handle(job.model_copy(update={"storage_path": f"s3://{BUCKET}/none"}))
    with engine.connect() as connection:
        assert connection.execute(select(Product.id)).all() == []


def test_eviction_takes_folder_and_images(
    engine: Engine, store: ObjectStore, bus: Bus, catalogue: Catalogue, job: CatalogJob
) -> None:
    catalogue.handle(job)
    published(engine, bus)
    other = f"{NAME[:-9]}FFFF.SAFE"
    store.put(BUCKET, f"{other}/manifest.safe", [b"x"], 1)
    store.put(QUICKLOOKS, f"{other}/quick-look.png", [PNG], len(PNG))
    actions.evict_now(engine, NAME, list(Storage), "olga")
    Evictor(engine, store).round()
    assert left_of(engine, store, NAME) == (False, False, False, False)
    assert [each.key for each in store.list(BUCKET)] == [f"{other}/manifest.safe"]
    assert [each.key for each in store.list(QUICKLOOKS)] == [f"{other}/quick-look.png"]


def test_images_stay_as_long_as_the_archive_is_published(
    engine: Engine, store: ObjectStore, bus: Bus, catalogue: Catalogue, job: CatalogJob
) -> None:
    catalogue.handle(job)
    (text,) = bus.read(CATALOG_EVENT, 1)
    event = CatalogEvent.model_validate_json(text)
    policies = load_policies(load(LifecycleSettings).policies_file)
    record(engine, policies, event)
    archive = {"key_object_storage": f"{NAME}.zip", "storage_path": f"s3://{BUCKET}-zip/{NAME}.zip"}
    packed = event.model_copy(update=archive | {"product_family": "L1_SLICE_ZIP"})
    publish(engine, packed)
    record(engine, policies, packed)
    evictor = Evictor(engine, store)
    actions.evict_now(engine, NAME, [Storage.UNCOMPRESSED], "olga")
    evictor.round()
    assert store.head(QUICKLOOKS, IMAGE) is not None
    actions.evict_now(engine, NAME, [Storage.COMPRESSED], "olga")
    evictor.round()
    assert store.head(QUICKLOOKS, IMAGE) is None


def test_deletion_takes_folder_and_images(
    engine: Engine, store: ObjectStore, bus: Bus, catalogue: Catalogue, job: CatalogJob
) -> None:
    catalogue.handle(job)
    published(engine, bus)
    assert Deletions(engine, store).delete(NAME, Family.L1_SLICE, "olga").done
    assert left_of(engine, store, NAME)[:3] == (False, False, False)
    assert list(store.list(BUCKET)) == list(store.list(QUICKLOOKS)) == []


def test_reconciliation_knows_folders(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    bus: Bus,
    catalogue: Catalogue,
    job: CatalogJob,
    reconciler: Reconciler,
) -> None:
    """Whole ones agree; one that lost a file does not."""
    catalogue.handle(job)
    published(engine, bus)
    assert not any(counts(reconcile(engine, reconciler)).values())
    store.delete(BUCKET, f"{NAME}/measurement/a.tiff")
    found = {kind: count for kind, count in counts(reconcile(engine, reconciler)).items() if count}
    assert found == {"row-with-another-size": 1}
