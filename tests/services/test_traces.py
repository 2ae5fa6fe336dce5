"""Traces on real servers: every step of products through the chain's processes, and from a name to all of them."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from tests.means.chain import Chain, stations_entries
from tests.means.generator import generate
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.means.postgresql import PostgreSQL
from tests.means.station import Station
from tests.services.conftest import Bus, wait_until
from tests.services.kept import name_of, operations_api
from tests.services.log_store_clients import StoreOf
from tests.services.published import event

from refsys.services.common import tracing
from refsys.services.common.bus import Producer
from refsys.services.common.kafka import kafka_options
from refsys.services.common.messages import CATALOG_JOB, product_trace
from refsys.services.common.process import Process
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, S3Settings
from refsys.services.common.store import ObjectStore
from refsys.services.common.trace_export import TopicProcessor
from refsys.services.distribution.publisher import publish
from refsys.services.logs import indexer
from refsys.services.logs.templates import TRACES

pytest_plugins = ("tests.services.prip",)

InThread = Callable[[Callable[[], None]], AbstractContextManager[None]]
Settings = Callable[[str], KafkaSettings]
Document = dict[str, Any]

PROCESSES = (
    "ingestion-trigger",
    "ingestion-worker",
    "catalogue",
    "compression-filter",
    "compression-worker",
    "publisher",
    "lifecycle",
)
INGESTION = ["ingestion-trigger seen", "ingestion-worker process ingestion-job", "catalogue process catalog-job"]
PUBLICATION = {"publisher process catalog-event", "lifecycle process catalog-event"}
COMPRESSION = {
    "compression-filter process catalog-event",
    "compression-worker process compression-job-low",
    "publisher process compression-event",
    "lifecycle process catalog-event",
    "lifecycle process compression-event",
}
PARTS = {
    "ingestion-worker": ["store", "download"],
    "catalogue": ["extract metadata", "insert into catalogue"],
    "compression-worker": ["compress"],
}


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    (tmp_path / "station").mkdir()
    with Station(tmp_path / "station") as station:
        yield station


@pytest.fixture
def chain(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    station: Station,
    database: DatabaseSettings,
    engine: Engine,
    postgresql_server: PostgreSQL,
    kafka_server: Kafka,
    kafka_settings: Settings,
    s3: S3Settings,
    s3_server: S3,
) -> Iterator[Chain]:
    """The chain's processes on the session's servers, none started yet."""
    password = tmp_path / "station-password"
    password.write_text(station.password)
    entry = {
        "name": "MTI_",
        "type": "auxip",
        "url": station.url,
        "token_url": station.token_url,
        "client_id": station.client_id,
        "username": station.username,
        "password_file": str(password),
        "poll_seconds": 0.5,
    }
    stations_file = tmp_path / "stations.yaml"
    stations_file.write_text(stations_entries([entry]))
    name = database.url.rpartition("/")[2]
    made = Chain(tmp_path, postgresql_server, kafka_server, s3_server, engine, stations_file, name)
    yield made
    for server in made.processes.values():
        server.stop()


@pytest.fixture
def indexing(
    kafka_settings: Settings, store_of: StoreOf, new_process: Callable[[str], Process], in_thread: InThread
) -> Iterator[None]:
    """The indexer at work."""
    running = new_process("log-indexer")
    with in_thread(partial(indexer.serve, running, kafka_settings("log-indexer"), store_of("log-indexer"))):
        yield
        running.stop.set()


@pytest.fixture
def api(engine: Engine, tmp_path: Path, store_of: StoreOf) -> Iterator[TestClient]:
    with operations_api(engine, tmp_path, store_of("operations")) as client:
        yield client


@pytest.fixture
def as_prip(kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TopicProcessor]:
    """Steps of this process go to Kafka as those of `prip`."""
    processor = TopicProcessor(kafka_options(kafka_settings("prip"), "prip"))
    monkeypatch.setattr(tracing, "_of_process", tracing._of_process)
    tracing.configure("prip", "prip-1", processor)
    yield processor
    processor.shutdown()


def feed(station: Station) -> tuple[str, str]:
    """Two auxiliary files: one is published as it is, of the other an archive is made."""
    (plain,) = generate(station.folder, 1)
    packed = station.folder / re.sub("^S1.", "S2A", plain.name)
    packed.write_text(re.sub("S1[ABCD]", "S2A", plain.read_text()).replace("Sentinel-1", "Sentinel-2"))
    return plain.name, packed.name


def trace(api: TestClient, name: str) -> Document | None:
    answer = api.get(f"/operations/v1/products/{name}/trace")
    assert answer.status_code in {200, 404, 503}, answer.text
    found: Document = answer.json()
    return found if answer.status_code == 200 else None


def whole(api: TestClient, name: str, steps: int) -> Document:
    """The trace when it has so many steps."""

    def there() -> bool:
        found = trace(api, name)
        return found is not None and len(found["steps"]) >= steps

    wait_until(there, 60, f"{steps} steps of {name}")
    found = trace(api, name)
    assert found is not None
    return found


def names(found: Document) -> list[str]:
    return [f"{step['process']} {step['name']}" for step in found["steps"]]


def test_every_step_of_products_is_in_their_traces(
    chain: Chain, station: Station, indexing: None, api: TestClient
) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(chain.start, PROCESSES))
    plain, packed = feed(station)
    direct, compressed = whole(api, plain, 5), whole(api, packed, 8)
    assert (names(direct)[:3], set(names(direct)[3:])) == (INGESTION, PUBLICATION)
    assert (names(compressed)[:3], set(names(compressed)[3:])) == (INGESTION, COMPRESSION)
    for found in (direct, compressed):
        assert (found["state"], found["gaps"]) == ("published", [])
        assert found["count"] <= 14, found
        for step in found["steps"][1:]:
            assert step["waited"] < 30
            parts = [part["name"] for part in _parts(step)]
            assert parts == PARTS.get(step["process"], []), step
    archive = packed.removesuffix(".EOF") + ".TGZ"
    assert whole(api, archive, 8)["trace"] == compressed["trace"] == product_trace(packed)
    whole_product = api.get(f"/operations/v1/products/{plain}").json()
    assert [each["state"] for each in whole_product["inbox"]] == ["STORED"]
    assert (whole_product["catalogue"]["state"], whole_product["published"]["online"]) == ("VALID", True)
    assert whole_product["trace"]["state"] == "published"
    assert whole_product["deadLetters"] == []
    assert [each["process"] for each in whole_product["metrics"]][:2] == ["ingestion-worker", "catalogue"]
    log = (chain.folder / "ingestion-worker.log").read_text()
    assert f'"trace_id_string": "{direct["trace"]}"' in log, "logs carry the trace"


def _parts(step: Document) -> list[Document]:
    inner = step.get("parts", [])
    return [each for part in inner for each in (part, *_parts(part))]


def test_a_product_that_fails_shows_where(
    chain: Chain, indexing: None, api: TestClient, kafka_settings: Settings
) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(chain.start, ("catalogue", "dlq")))
    given = event(name_of(1), b"x")
    producer = Producer(kafka_settings("metadata-search"), "metadata-search")
    producer.send(CATALOG_JOB, given, given.key())
    producer.flush()
    found = whole(api, given.key(), 2)
    assert (found["state"], found["gaps"]) == ("failed", [])
    assert names(found) == ["catalogue process catalog-job", "dlq process error-warning"]
    assert "ingest it again" in found["steps"][0]["reason"]

    def parked() -> bool:
        with chain.engine.connect() as connection:
            return bool(connection.execute(text("SELECT count(*) FROM dead_letters.failed_processing")).scalar_one())

    wait_until(parked)
    (letter,) = api.get(f"/operations/v1/products/{given.key()}").json()["deadLetters"]
    assert (letter["topic"], "ingest it again" in letter["failureMessage"]) == (CATALOG_JOB, True)


def test_a_users_download_is_in_the_trace(  # noqa: PLR0917  # fixtures
    as_prip: TopicProcessor, client: httpx.Client, engine: Engine, store: ObjectStore, indexing: None, api: TestClient
) -> None:
    given = event("S1A_OPER_AUX_X.EOF", b"content")
    given = given.model_copy(update={"trace": given.trace.model_copy(update={"trace_id": "ab" * 16})})
    publish(engine, given)
    store.put("rs-s1-aux", given.key(), [b"content"], 7)
    assert client.get(f"/odata/v1/Products({given.product_id})/$value").content == b"content"
    as_prip.force_flush()
    found = whole(api, given.key(), 1)
    (step,) = found["steps"]
    assert (found["trace"], step["process"], step["name"]) == ("ab" * 16, "prip", "download by user")
    assert step["attributes"].pop("task"), "that of its REPORT lines"
    assert (step["status"], step["attributes"]) == ("ok", {"user": "demo", "bytes": 7})


def test_what_is_no_steps_is_left_out_and_what_comes_again_changes_nothing(
    as_prip: TopicProcessor, bus: Bus, indexing: None, api: TestClient
) -> None:
    before = indexer.REFUSED.labels(TRACES)._value.get()
    as_prip._producer.produce(TRACES, b"nonsense")
    for _ in range(3):
        with tracing.beginning("seen", product_trace("X.EOF"), product="X.EOF"):
            pass
    as_prip.force_flush()
    (message,) = [each for each in bus.read(TRACES, 2) if each != "nonsense"]
    as_prip._producer.produce(TRACES, message)
    as_prip.force_flush()
    found = whole(api, "X.EOF", 3)
    wait_until(lambda: indexer.REFUSED.labels(TRACES)._value.get() > before)
    assert (found["state"], found["count"]) == ("under way", 3)


def test_a_name_of_which_nothing_is_known(store_of: StoreOf, api: TestClient) -> None:
    for address in ("S1A_NEVER.EOF", "S1A_NEVER.EOF/trace", "a/b/c"):
        assert api.get(f"/operations/v1/products/{address}").status_code == 404
