"""The chain as an environment runs it: PostgreSQL, Kafka, S3, and each process in an interpreter of its own."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from sqlalchemy import Engine

from refsys.infra import paths
from refsys.services.common.database import open_database
from refsys.services.common.settings import DatabaseSettings
from tests.means.certificates import Authority
from tests.means.kafka import Kafka, kafka
from tests.means.object_store import S3, object_store
from tests.means.postgresql import PostgreSQL, postgresql
from tests.means.processes import Server, free_port

DATABASE = "refsys"
SESSIONS = [{"match": ".*", "family": "EDRS_SESSION", "mission": "S1"}]
AUXILIARY = [
    {"match": "S1.*", "family": "AUXILIARY_FILE", "mission": "S1"},
    {"match": "S2.*", "family": "S2_AUX", "mission": "S2"},
    {"match": "S3.*", "family": "S3_AUX", "mission": "S3"},
]


def kafka_variables(server: Kafka, process: str) -> dict[str, str]:
    """The settings by which a process reaches Kafka, as itself."""
    certificate = server.certificate(process)
    return {
        "REFSYS_KAFKA_BOOTSTRAP": server.bootstrap,
        "REFSYS_KAFKA_CA_FILE": str(server.authority.ca_file),
        "REFSYS_KAFKA_CERTIFICATE_FILE": str(certificate.certificate_file),
        "REFSYS_KAFKA_KEY_FILE": str(certificate.key_file),
    }


def s3_variables(server: S3) -> dict[str, str]:
    """The settings by which a process reaches the object store."""
    return {
        "REFSYS_S3_ENDPOINT": server.endpoint,
        "REFSYS_S3_CA_FILE": str(server.ca_file),
        "REFSYS_S3_ACCESS_KEY_FILE": str(server.access_key_file),
        "REFSYS_S3_SECRET_KEY_FILE": str(server.secret_key_file),
    }


@dataclass
class Chain:
    """Running servers, and the processes that were started on them."""

    folder: Path
    postgresql: PostgreSQL
    kafka: Kafka
    s3: S3
    engine: Engine
    stations_file: Path
    database: str = DATABASE
    processes: dict[str, Server] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        """Start processes of the chain; each is ready when its probe says so."""
        for name in names:
            port = free_port()
            environment = self._environment(name) | {"REFSYS_OPERATIONS_PORT": str(port)}
            command = [sys.executable, "-m", "refsys.services", name]
            server = Server(command, self.folder / f"{name}.log", lambda port=port: is_ready(port), 90, environment)  # type: ignore[misc]
            server.start()
            self.processes[name] = server

    def run(self, name: str) -> None:
        """Run a process that ends by itself, such as `migrate`."""
        environment = self._environment(name) | {"REFSYS_OPERATIONS_PORT": "0"}
        command = [sys.executable, "-m", "refsys.services", name]
        done = Server(command, self.folder / f"{name}.log", lambda: True, 1, environment)
        done.launch()
        if done.process.wait(300):
            raise RuntimeError(f"{name} failed: {done.log.read_text()[-3000:]}")

    def _environment(self, name: str) -> dict[str, str]:
        principal = "admin" if name == "topics" else name
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(paths.CHECKOUT / "src"),
            "REFSYS_DATABASE_URL": self.postgresql.url(self.database),
            "REFSYS_DATABASE_PASSWORD_FILE": str(self.postgresql.password_file),
            "REFSYS_STATIONS_FILE": str(self.stations_file),
            **s3_variables(self.s3),
            **kafka_variables(self.kafka, principal),
        }


def stations_entries(stations: Sequence[dict[str, Any]]) -> str:
    """The stations file of stations, inboxes filled in."""
    entries = [{"inboxes": SESSIONS if each["type"] == "cadip" else AUXILIARY, **each} for each in stations]
    return yaml.safe_dump(entries)


@contextmanager
def chain(
    folder: Path, stations: Sequence[dict[str, Any]], database_settings: dict[str, str] | None = None
) -> Iterator[Chain]:
    """The servers with tables, topics and buckets made; `stations` as in the stations file, inboxes filled in."""
    stations_file = folder / "stations.yaml"
    stations_file.write_text(stations_entries(stations))
    authority = Authority(folder / "certificates")
    with ExitStack() as stack:
        database = stack.enter_context(postgresql(folder / "postgresql" / "server", database_settings))
        broker = stack.enter_context(kafka(folder / "kafka", authority))
        store = stack.enter_context(object_store(folder / "s3", authority))
        database.run(f"CREATE DATABASE {DATABASE}")
        settings = DatabaseSettings(url=database.url(DATABASE), password_file=database.password_file)
        engine = open_database(settings, "tests")
        stack.callback(engine.dispose)
        made = Chain(folder, database, broker, store, engine, stations_file)
        for name in ("migrate", "topics", "buckets"):
            made.run(name)
        try:
            yield made
        finally:
            for server in made.processes.values():
                server.stop()


def is_ready(port: int) -> bool:
    """Whether the process whose probes are at that port says that it can work."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
