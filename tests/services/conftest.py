"""Fixtures of the services' tests: real PostgreSQL, Kafka and S3 on loopback, started once a session.

Each test has a database of its own, empty topics and empty buckets.
"""

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka.admin import AdminClient
from pydantic import HttpUrl
from sqlalchemy import Engine
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [folder for folder in (str(CHECKOUT), str(CHECKOUT / "src")) if folder not in sys.path]

# Test modules import these before they name them as plugins, too late for pytest to rewrite their assertions.
pytest.register_assert_rewrite(*(f"tests.services.{name}" for name in ("hosting", "ingesting", "prip", "uploading")))

from tests.means.alertmanager import Alertmanager  # noqa: E402
from tests.means.alertmanager import alertmanager as running_alertmanager  # noqa: E402
from tests.means.certificates import Authority  # noqa: E402
from tests.means.chain import kafka_variables, s3_variables  # noqa: E402
from tests.means.kafka import Kafka, kafka  # noqa: E402
from tests.means.object_store import S3, object_store  # noqa: E402
from tests.means.opensearch import LogStore  # noqa: E402
from tests.means.opensearch import log_store as running_log_store  # noqa: E402
from tests.means.postgresql import PostgreSQL, postgresql  # noqa: E402
from tests.means.prometheus import Prometheus as PrometheusServer  # noqa: E402
from tests.means.prometheus import prometheus as running_prometheus  # noqa: E402
from tests.services.log_store_clients import StoreOf, client_settings  # noqa: E402

from refsys.services.common import buckets, topics  # noqa: E402
from refsys.services.common.database import open_database  # noqa: E402
from refsys.services.common.kafka import kafka_options  # noqa: E402
from refsys.services.common.messages import TOPICS  # noqa: E402
from refsys.services.common.operations import Health, serve_operations  # noqa: E402
from refsys.services.common.process import Process  # noqa: E402
from refsys.services.common.settings import (  # noqa: E402
    DatabaseSettings,
    KafkaSettings,
    LogStoreSettings,
    OperationsSettings,
    PrometheusSettings,
    S3Settings,
)
from refsys.services.common.store import ObjectStore  # noqa: E402
from refsys.services.logs.store import LogStore as LogStoreClient  # noqa: E402
from refsys.services.logs.templates import TRACES  # noqa: E402
from refsys.services.metrics.prometheus import Prometheus  # noqa: E402
from refsys.services.migrations.upgrade import upgrade  # noqa: E402

TEMPLATE = "migrated"
_numbers = count(1)


SLOW_SERVERS = ("keycloak", "openbao", "log_store")


class ServersTogether(LoadGroupScheduling):  # type: ignore[misc]  # xdist gives it no types
    """Tests go to whoever is free, but those of a slow server to one worker: one for each would cost minutes."""

    def _split_scope(self, nodeid: str) -> str:
        return _slow_server(nodeid.partition("::")[0]) or nodeid


@cache
def _slow_server(module: str) -> str:
    text = (CHECKOUT / module).read_text()
    return next((server for server in SLOW_SERVERS if server in text), "")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ServersTogether:
    """Give the tests to the workers. The marks of xdist have no effect with this version of pytest."""
    return ServersTogether(config, log)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    with postgresql(tmp_path_factory.mktemp("postgresql") / "server") as server:
        yield server


@pytest.fixture(scope="session")
def template_database(postgresql_server: PostgreSQL) -> str:
    """A database at the newest revision, for the others to be copied from."""
    postgresql_server.run(f"CREATE DATABASE {TEMPLATE}")
    engine = open_database(_database_settings(postgresql_server, TEMPLATE), "tests")
    upgrade(engine)
    engine.dispose()
    return TEMPLATE


def _database_settings(server: PostgreSQL, name: str) -> DatabaseSettings:
    return DatabaseSettings(url=server.url(name), password_file=server.password_file)


@pytest.fixture
def database(postgresql_server: PostgreSQL, template_database: str) -> DatabaseSettings:
    """Settings of a migrated, empty database."""
    name = f"test_{next(_numbers)}"
    postgresql_server.run(f"CREATE DATABASE {name} TEMPLATE {template_database}")
    return _database_settings(postgresql_server, name)


@pytest.fixture
def engine(database: DatabaseSettings) -> Iterator[Engine]:
    engine = open_database(database, "tests", pool_size=16)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Kafka]:
    """A broker with the topics and the access rules of an environment."""
    with kafka(tmp_path_factory.mktemp("kafka"), authority) as server:
        with _environment(kafka_variables(server, "admin")):
            topics.main()
        yield server


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def kafka_settings(kafka_server: Kafka) -> Callable[[str], KafkaSettings]:
    """Kafka settings with the certificate of a process; the topics are empty."""

    def settings(process: str) -> KafkaSettings:
        certificate = kafka_server.certificate(process)
        return KafkaSettings(
            bootstrap=kafka_server.bootstrap,
            ca_file=kafka_server.authority.ca_file,
            certificate_file=certificate.certificate_file,
            key_file=certificate.key_file,
        )

    _empty_topics(settings("admin"))
    return settings


@retry(retry=retry_if_exception_type(KafkaException), stop=stop_after_delay(30), wait=wait_fixed(0.5), reraise=True)
def _empty_topics(settings: KafkaSettings) -> None:
    admin = AdminClient(kafka_options(settings, "tests"))
    partitions = [TopicPartition(name, number, -1) for name in (*TOPICS, TRACES) for number in range(topics.PARTITIONS)]
    for future in admin.delete_records(partitions).values():
        future.result(30)


@dataclass(frozen=True)
class Bus:
    """A look at the topics, as the administrator."""

    settings: KafkaSettings

    def read(self, topic: str, expected: int, seconds: float = 30) -> list[str]:
        """All messages of a topic, as text; waits until there are as many as expected."""
        options = kafka_options(self.settings, "tests") | {
            "group.id": f"tests-{next(_numbers)}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
        consumer = KafkaConsumer(options)
        try:
            # Without asking for committed offsets: a broker that has just started has no coordinator yet.
            consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(topics.PARTITIONS)])
            found: list[str] = []
            end = time.monotonic() + seconds
            settle = 1.0  # to see what should not be there
            while time.monotonic() < end and settle > 0:
                for message in consumer.consume(1000, 0.5):
                    value = message.value()
                    assert message.error() is None, message.error()
                    found.append(value.decode() if isinstance(value, bytes) else str(value))
                if len(found) >= expected:
                    settle -= 0.5
            return found
        finally:
            consumer.close()


@pytest.fixture
def bus(kafka_settings: Callable[[str], KafkaSettings]) -> Bus:
    return Bus(kafka_settings("admin"))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[S3]:
    with object_store(tmp_path_factory.mktemp("s3"), authority) as server:
        yield server


@pytest.fixture(scope="session")
def made_buckets(s3_server: S3) -> list[Path]:
    """The folders of the chain's buckets."""
    with _environment(s3_variables(s3_server)):
        buckets.main()
    return [folder for folder in s3_server.folder.iterdir() if not folder.name.startswith(".")]


@pytest.fixture
def s3(s3_server: S3, made_buckets: list[Path]) -> S3Settings:
    """S3 settings; the buckets are there and empty."""
    for folder in s3_server.folder.iterdir():
        if folder not in made_buckets and not folder.name.startswith("."):
            shutil.rmtree(folder)
    for entry in (each for folder in made_buckets for each in folder.iterdir()):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return S3Settings(
        endpoint=HttpUrl(s3_server.endpoint),
        ca_file=s3_server.ca_file,
        access_key_file=s3_server.access_key_file,
        secret_key_file=s3_server.secret_key_file,
    )


@pytest.fixture
def store(s3: S3Settings) -> ObjectStore:
    return ObjectStore(s3)


@pytest.fixture(scope="session")
def log_store_server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[LogStore]:
    with running_log_store(tmp_path_factory.mktemp("log-store"), authority) as server:
        yield server


@pytest.fixture
def log_store(log_store_server: LogStore) -> LogStore:
    """OpenSearch behind its sidecar, empty."""
    log_store_server.clear()
    return log_store_server


@pytest.fixture
def store_of(log_store: LogStore) -> Iterator[StoreOf]:
    """Makes the log store's client of a process; the store is empty."""
    made: list[LogStoreClient] = []

    def client(process: str) -> LogStoreClient:
        made.append(
            LogStoreClient(client_settings(LogStoreSettings, log_store.url, log_store.front.authority, process))
        )
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.fixture
def alertmanager(tmp_path: Path, authority: Authority) -> Iterator[Alertmanager]:
    """Alertmanager behind its sidecar, that tells nobody."""
    with running_alertmanager(tmp_path / "alertmanager", authority) as server:
        yield server


@pytest.fixture(scope="session")
def prometheus_server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[PrometheusServer]:
    """Prometheus behind its sidecar, that asks nobody."""
    with running_prometheus(tmp_path_factory.mktemp("prometheus"), authority) as server:
        yield server


@pytest.fixture
def metrics(prometheus_server: PrometheusServer) -> Iterator[Prometheus]:
    """The operators' client of Prometheus."""
    authority = prometheus_server.front.authority
    client = Prometheus(client_settings(PrometheusSettings, prometheus_server.url, authority, "operations"))
    yield client
    client.close()


@pytest.fixture
def new_process() -> Iterator[Callable[[str], Process]]:
    """Makes processes that run in threads of the test; all are asked to stop at its end."""
    made: list[Process] = []

    def make(name: str) -> Process:
        health = Health()
        operations = serve_operations(OperationsSettings(operations_port=0), health)
        made.append(Process(name, health, threading.Event(), operations))
        return made[-1]

    yield make
    for process in made:
        process.stop.set()
        process.operations.shutdown()
        process.operations.server_close()


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], None]], AbstractContextManager[None]]]:
    """Runs something in a thread for the length of a context."""

    @contextmanager
    def run(target: Callable[[], None]) -> Iterator[None]:
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        yield
        thread.join(30)
        assert not thread.is_alive()

    yield run


def wait_until(condition: Callable[[], bool], seconds: float = 30, what: str = "condition") -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come true within {seconds} s"
        time.sleep(0.1)
