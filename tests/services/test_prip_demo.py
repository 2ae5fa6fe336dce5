"""The demo through the whole chain: station, real processes, Kafka, PostgreSQL, S3, Keycloak, PRIP over HTTPS."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import CHECKOUT, kafka_variables, s3_variables, wait_until
from rich.console import Console
from sqlalchemy import Engine, select
from tests.means.certificates import Authority
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.means.processes import free_port, listens
from tests.services.keycloak import CLIENT, PASSWORD, Keycloak

from refsys.infra import demo
from refsys.infra.demo import DemoStation, Endpoints
from refsys.services.common.settings import DatabaseSettings, S3Settings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.model import product

pytestmark = pytest.mark.xdist_group("realm")
pytest_plugins = ("tests.services.identity",)

PRIP_PORT = 8443
SAMPLES = Path(os.environ["REFSYS_SAMPLES"]) if "REFSYS_SAMPLES" in os.environ else None
CHAIN = ("ingestion-trigger", "ingestion-worker", "catalogue", "publisher", "prip")


@pytest.fixture
def endpoints(authority: Authority, keycloak: Keycloak) -> Endpoints:
    certificate = authority.issue("station")
    station = DemoStation(
        host="127.0.0.1",
        port=free_port(),
        certificate_file=certificate.certificate_file,
        key_file=certificate.key_file,
        username="adgs",
        password="station password",
        client_id="refsys",
    )
    return Endpoints.model_validate(
        {
            "prip_url": f"https://localhost:{PRIP_PORT}",
            "token_url": keycloak.token_url,
            "client_id": CLIENT,
            "username": "demo",
            "password": PASSWORD,
            "ca_file": authority.ca_file,
            "station": station,
        }
    )


@pytest.fixture
def stations_file(tmp_path: Path, endpoints: Endpoints) -> Path:
    station, password, file = endpoints.station, tmp_path / "password", tmp_path / "stations.yaml"
    password.write_text(station.password)
    entry = {
        "name": "ADGS",
        "url": f"https://{station.host}:{station.port}/odata/v1",
        "token_url": f"https://{station.host}:{station.port}/token",
        "client_id": station.client_id,
        "username": station.username,
        "password_file": str(password),
        "ca_file": str(endpoints.ca_file),
        "poll_seconds": 1,
        "inboxes": [
            {"match": "S1.*", "family": "AUXILIARY_FILE", "mission": "S1"},
            {"match": "S2.*", "family": "S2_AUX", "mission": "S2"},
            {"match": "S3.*", "family": "S3_AUX", "mission": "S3"},
        ],
    }
    file.write_text(yaml.safe_dump([entry]))
    return file


@pytest.fixture
def chain(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    stations_file: Path,
    database: DatabaseSettings,
    kafka_settings: Callable[[str], object],
    kafka_server: Kafka,
    s3: S3Settings,
    s3_server: S3,
    keycloak: Keycloak,
    authority: Authority,
) -> Iterator[None]:
    """The processes of the chain, as an environment runs them."""
    assert not listens(PRIP_PORT), f"port {PRIP_PORT} is taken"
    certificate = authority.issue("prip")
    delivery_key = tmp_path / "delivery-key"
    delivery_key.write_text("correct-horse-battery-staple-0123456789\n")
    common = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT / "src"),
        "REFSYS_DATABASE_URL": database.url,
        "REFSYS_DATABASE_PASSWORD_FILE": str(database.password_file),
        "REFSYS_STATIONS_FILE": str(stations_file),
        "REFSYS_OIDC_ISSUER": keycloak.issuer,
        "REFSYS_OIDC_JWKS_URL": keycloak.keys_url,
        "REFSYS_PUBLIC_URL": f"https://localhost:{PRIP_PORT}",
        "REFSYS_TLS_CERTIFICATE_FILE": str(certificate.certificate_file),
        "REFSYS_TLS_KEY_FILE": str(certificate.key_file),
        "REFSYS_DELIVERY_KEY_FILE": str(delivery_key),
        "REFSYS_OPERATIONS_PORT": "0",
        **s3_variables(s3_server),
    }
    started: list[subprocess.Popen[bytes]] = []
    for name in CHAIN:
        variables = common | (kafka_variables(kafka_server, name) if name != "prip" else {})
        with (tmp_path / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "refsys.services", name]
            started.append(subprocess.Popen(command, env=variables, stdout=log, stderr=log))
    wait_until(lambda: listens(PRIP_PORT), 60, "PRIP")
    yield
    for process in started:
        process.terminate()
    assert [process.wait(40) for process in started] == [0] * len(started)


def test_demo(chain: None, endpoints: Endpoints, engine: Engine, s3: S3Settings) -> None:
    """Twice the same files: published once. Then one of them is damaged in the object store."""
    console = Console(record=True, width=250)

    def published() -> list[tuple[object, ...]]:
        columns = (product.c.name, product.c.id, product.c.publication_date, product.c.bucket)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(select(*columns).order_by(product.c.name))]

    assert demo.run(endpoints, SAMPLES, console) == 0, console.export_text()
    first = published()
    assert len(first) >= 15
    assert demo.run(endpoints, SAMPLES, console) == 0, console.export_text()
    assert published() == first

    name, _, _, bucket = first[0]
    size = ObjectStore(s3).head(str(bucket), str(name))
    assert size
    ObjectStore(s3).put(str(bucket), str(name), [b"x" * size.size], size.size)
    assert demo.run(endpoints, SAMPLES, console) == 1
    assert f"{name}: MD5 differs" in console.export_text()


def test_demo_without_an_environment(endpoints: Endpoints) -> None:
    console = Console(record=True, width=250)
    assert demo.run(endpoints, None, console) == 1
    assert "demo failed" in console.export_text()
