"""The catalogue against real PostgreSQL, Kafka and S3."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.means.generator import generate, pack
from tests.services.conftest import Bus, wait_until

from refsys.services.catalogue.service import Catalogue, product_id
from refsys.services.common.bus import Consumer, Producer
from refsys.services.common.digests import Digests
from refsys.services.common.families import Family, storage_path
from refsys.services.common.messages import (
    CATALOG_EVENT,
    CATALOG_JOB,
    ERROR_WARNING,
    CatalogEvent,
    CatalogJob,
    Trace,
    utc_now,
)
from refsys.services.common.names import parse_name
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import ObjectStore

FAMILIES = {"S1": Family.AUXILIARY_FILE, "S2": Family.S2_AUX, "S3": Family.S3_AUX}
RunCatalogue = Callable[[], AbstractContextManager[None]]


def job_of(store: ObjectStore, path: Path) -> CatalogJob:
    """Store a file as ingestion does; returns its catalogue job."""
    name = parse_name(path.name)
    where = storage_path(FAMILIES[name.mission], name.name)
    digests = Digests()
    content = path.read_bytes()
    store.put(where.split("/")[2], name.name, digests.of([content]), len(content))
    return CatalogJob(
        mission_id=name.mission,
        satellite_id=name.satellite_id,
        key_object_storage=name.name,
        storage_path=where,
        product_family=FAMILIES[name.mission],
        product_size_byte=len(content),
        station_name="MTI_",
        checksums=digests.checksums(utc_now()),
        trace=Trace(station_publication=utc_now(), seen=utc_now(), stored=utc_now()),
    )


@pytest.fixture
def send(kafka_settings: Callable[[str], KafkaSettings]) -> Callable[[list[CatalogJob]], None]:
    producer = Producer(kafka_settings("ingestion-worker"), "ingestion-worker")

    def send(jobs: list[CatalogJob]) -> None:
        for job in jobs:
            producer.send(CATALOG_JOB, job, job.key())
        producer.flush()

    return send


@pytest.fixture
def run_catalogue(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    kafka_settings: Callable[[str], KafkaSettings],
    new_process: Callable[[str], Process],
    in_thread: Callable[[Callable[[], None]], AbstractContextManager[None]],
    bus: Bus,
) -> RunCatalogue:
    settings = kafka_settings("catalogue")

    @contextmanager
    def run() -> Iterator[None]:
        process = new_process("catalogue")
        producer = Producer(settings, "catalogue")
        handle = Catalogue(engine, store, producer).handle
        consumer = Consumer(settings, process, producer, topic=CATALOG_JOB, model=CatalogJob, handle=handle, workers=2)
        with in_thread(consumer.run):
            try:
                yield
            finally:
                process.stop.set()

    return run


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of every kind, and the real ones of REFSYS_SAMPLES."""
    made = generate(tmp_path, 10, size=50_000)
    samples = os.environ.get("REFSYS_SAMPLES")
    return made + (pack(Path(samples), tmp_path) if samples else [])


def test_every_kind_of_file_is_catalogued(
    files: list[Path], store: ObjectStore, bus: Bus, send: Callable[..., None], run_catalogue: RunCatalogue
) -> None:
    jobs = [job_of(store, path) for path in files]
    with run_catalogue():
        send(jobs)
        events = [CatalogEvent.model_validate_json(item) for item in bus.read(CATALOG_EVENT, len(jobs))]
    assert {event.key_object_storage for event in events} == {path.name for path in files}
    assert bus.read(ERROR_WARNING, 0, seconds=2) == []
    for event in events:
        assert event.product_id == product_id(event.key_object_storage)
        assert event.content_date_start <= event.content_date_end
        names = {attribute.name for attribute in event.attributes}
        assert {"productType", "platformShortName", "beginningDateTime", "processingDate"} <= names
        assert event.trace.catalogued


def test_the_same_job_again_sends_the_same_event(
    files: list[Path], store: ObjectStore, bus: Bus, send: Callable[..., None], run_catalogue: RunCatalogue
) -> None:
    job = job_of(store, files[0])
    with run_catalogue():
        send([job])
        assert len(bus.read(CATALOG_EVENT, 1)) == 1
        send([job, job])
        events = bus.read(CATALOG_EVENT, 3)
    assert len(events) == 3
    assert len(set(events)) == 1


def test_an_unreadable_product_is_invalid_and_can_be_tried_again(  # noqa: PLR0917  # fixtures
    files: list[Path],
    engine: Engine,
    store: ObjectStore,
    bus: Bus,
    send: Callable[..., None],
    run_catalogue: RunCatalogue,
) -> None:
    path = files[0]
    good = job_of(store, path)
    store.put("rs-s1-aux", path.name, iter([b"<Earth_Explorer_File>"]), 21)
    query = text("SELECT state || ': ' || reason FROM catalogue.product")

    def state() -> str:
        with engine.connect() as connection:
            return str(connection.execute(query).scalar_one_or_none())

    with run_catalogue():
        send([good])
        wait_until(lambda: state().startswith("INVALID: XML is malformed"))
        failed = bus.read(ERROR_WARNING, 1)
        assert len(failed) == 1
        assert "INVALID" in failed[0]
        job_of(store, path)
        send([good])
        assert len(bus.read(CATALOG_EVENT, 1)) == 1
        assert state() == "VALID: "


def test_another_content_under_a_known_name_is_refused(
    files: list[Path], store: ObjectStore, bus: Bus, send: Callable[..., None], run_catalogue: RunCatalogue
) -> None:
    job = job_of(store, files[0])
    with run_catalogue():
        send([job, job.model_copy(update={"product_size_byte": 1})])
        failed = bus.read(ERROR_WARNING, 1)
    assert len(failed) == 1
    assert "another content is catalogued" in failed[0]
