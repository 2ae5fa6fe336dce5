"""The processes as they are deployed: own interpreters, settings from the environment, killed at any point."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from sqlalchemy import Engine, text
from tests.means.certificates import Authority
from tests.means.chain import kafka_variables, s3_variables
from tests.means.generator import generate
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.means.processes import free_port
from tests.means.station import Station
from tests.services.conftest import CHECKOUT, Bus, wait_until

from refsys.services.common.messages import CATALOG_EVENT, CatalogEvent
from refsys.services.common.settings import DatabaseSettings, S3Settings

Start = Callable[[str], "Running"]


class Running:
    """A process of the chain."""

    def __init__(self, name: str, environment: dict[str, str], log: Path) -> None:
        self.port = free_port()
        variables = environment | {"REFSYS_OPERATIONS_PORT": str(self.port)}
        with log.open("ab") as output:
            command = [sys.executable, "-m", "refsys.services", name]
            self.process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
        self.log = log

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def peak_mebibytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def station(tmp_path: Path, authority: Authority) -> Iterator[Station]:
    folder = tmp_path / "station"
    folder.mkdir()
    certificate = authority.issue("station")
    with Station(folder, certificate_file=certificate.certificate_file, key_file=certificate.key_file) as station:
        yield station


@pytest.fixture
def start(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    station: Station,
    database: DatabaseSettings,
    bus: Bus,
    kafka_server: Kafka,
    s3: S3Settings,
    s3_server: S3,
) -> Iterator[Start]:
    password = tmp_path / "station-password"
    password.write_text(station.password)
    stations = [
        {
            "name": "MTI_",
            "url": station.url.replace("127.0.0.1", "localhost"),
            "token_url": station.token_url,
            "client_id": station.client_id,
            "username": station.username,
            "password_file": str(password),
            "ca_file": str(kafka_server.authority.ca_file),
            "poll_seconds": 0.5,
            "inboxes": [
                {"match": "S1.*", "family": "AUXILIARY_FILE", "mission": "S1"},
                {"match": "S2.*", "family": "S2_AUX", "mission": "S2"},
                {"match": "S3.*", "family": "S3_AUX", "mission": "S3"},
            ],
        }
    ]
    stations_file = tmp_path / "stations.yaml"
    stations_file.write_text(yaml.safe_dump(stations))
    common = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        "REFSYS_STATIONS_FILE": str(stations_file),
        **s3_variables(s3_server),
    }
    started: list[Running] = []

    def run(name: str) -> Running:
        started.append(Running(name, common | kafka_variables(kafka_server, name), tmp_path / f"{name}.log"))
        return started[-1]

    yield run
    for running in started:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)


def _events(bus: Bus, expected: int, seconds: float = 60) -> list[CatalogEvent]:
    return [CatalogEvent.model_validate_json(item) for item in bus.read(CATALOG_EVENT, expected, seconds)]


def test_killed_processes_lose_nothing(station: Station, start: Start, bus: Bus, engine: Engine) -> None:
    made = generate(station.folder, 60, size=20_000)
    processes = ["ingestion-trigger", "ingestion-worker", "catalogue"]
    running = {name: start(name) for name in processes}
    query = text("SELECT count(*) FROM catalogue.product WHERE state = 'VALID'")

    def catalogued() -> int:
        with engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    station.faults.slow_seconds = 0.05
    for name in processes * 2:
        time.sleep(1.5)
        running[name].end(signal.SIGKILL)
        running[name] = start(name)
    station.faults.slow_seconds = 0
    wait_until(lambda: catalogued() == len(made), seconds=120, what="all catalogued")
    events = _events(bus, len(made))
    assert {event.key_object_storage for event in events} == {path.name for path in made}
    assert {running[name].end(signal.SIGTERM) for name in processes} == {0}


def test_a_large_file_keeps_memory_flat(station: Station, start: Start, bus: Bus) -> None:
    size = 400 * 2**20
    (path,) = generate(station.folder, 5, size=size)[4:]
    for other in station.folder.iterdir():
        if other != path:
            other.unlink()
    start("ingestion-trigger")
    worker, catalogue = start("ingestion-worker"), start("catalogue")
    events = _events(bus, 1, seconds=180)
    assert [event.key_object_storage for event in events] == [path.name]
    assert worker.peak_mebibytes() < 256, worker.peak_mebibytes()
    assert catalogue.peak_mebibytes() < 256, catalogue.peak_mebibytes()


def test_a_running_process_answers_its_probes_and_logs_json(station: Station, start: Start, tmp_path: Path) -> None:
    worker = start("ingestion-worker")
    wait_until(worker.ready)
    base = f"http://127.0.0.1:{worker.port}"
    assert httpx.get(f"{base}/healthz", trust_env=False).text == "ok\n"
    assert "refsys_messages_total" in httpx.get(f"{base}/metrics", trust_env=False).text
    assert httpx.get(f"{base}/other", trust_env=False).status_code == 404
    assert worker.end(signal.SIGTERM) == 0
    log = (tmp_path / "ingestion-worker.log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert {line["header"]["type"] for line in lines} == {"LOG"}
    assert station.password not in log


@pytest.mark.parametrize("name", ["migrate", "topics", "buckets", "ingestion-trigger", "ingestion-worker", "catalogue"])
def test_a_missing_setting_is_one_clear_line(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "refsys.services", name],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT / "src"), "REFSYS_OPERATIONS_PORT": "0"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{name}: REFSYS_") and "is not set" in line
