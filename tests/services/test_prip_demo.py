"""The demo through the whole chain: station, real processes, Kafka, PostgreSQL, S3, Keycloak, PRIP over HTTPS."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from sqlalchemy import Engine, select
from tests.means.certificates import Authority
from tests.means.chain import kafka_variables, s3_variables
from tests.means.kafka import Kafka
from tests.means.object_store import S3
from tests.means.processes import free_port, listens
from tests.services.conftest import CHECKOUT, wait_until
from tests.services.demonstration import chain_entry, demo_stations
from tests.services.keycloak import CLIENT, PASSWORD, Keycloak

from refsys.infra import demo
from refsys.infra.demo import Endpoints
from refsys.infra.demo.endpoints import WINDOW
from refsys.services.cadip.model import session_file
from refsys.services.common.settings import DatabaseSettings, S3Settings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.model import product

pytest_plugins = ("tests.services.identity",)

SAMPLES = Path(os.environ["REFSYS_SAMPLES"]) if "REFSYS_SAMPLES" in os.environ else None
APIS = ("prip", "stac", "cadip", "metadata-search")
CHAIN = ("ingestion-trigger", "ingestion-worker", "catalogue", "publisher", *APIS)
WITHOUT_KAFKA = ("prip", "stac", "cadip")
CLOSED = {"start": "0 0 30 6 *", "minutes": 1}
"""A sampling window that is hardly ever open: with it, only the demo's own lets sessions in."""


@pytest.fixture
def endpoints(authority: Authority, keycloak: Keycloak) -> Endpoints:
    ports = {name: free_port() for name in APIS}
    urls = {f"{name.partition('-')[0]}_url": f"https://localhost:{port}" for name, port in ports.items()}
    return Endpoints.model_validate(
        {
            **urls,
            "token_url": keycloak.token_url,
            "client_id": CLIENT,
            "username": "demo",
            "password": PASSWORD,
            "ca_file": authority.ca_file,
            "stations": demo_stations(authority),
        }
    )


@pytest.fixture
def stations_file(tmp_path: Path, endpoints: Endpoints) -> Path:
    file = tmp_path / "stations.yaml"
    entries = [chain_entry(station, tmp_path, endpoints.ca_file) for station in endpoints.stations]
    sampling = {mission: [CLOSED, WINDOW] for mission in ("S1", "S2", "S3")}
    file.write_text(yaml.safe_dump({"stations": entries, "sampling": sampling}))
    return file


@pytest.fixture
def chain(  # noqa: PLR0917  # fixtures
    tmp_path: Path,
    stations_file: Path,
    endpoints: Endpoints,
    database: DatabaseSettings,
    kafka_settings: Callable[[str], object],
    kafka_server: Kafka,
    s3: S3Settings,
    s3_server: S3,
    keycloak: Keycloak,
    authority: Authority,
) -> Iterator[None]:
    """The processes of the chain, as an environment runs them."""
    certificate = authority.issue("api")
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
        "REFSYS_PRIP_URL": str(endpoints.prip_url),
        "REFSYS_TLS_CERTIFICATE_FILE": str(certificate.certificate_file),
        "REFSYS_TLS_KEY_FILE": str(certificate.key_file),
        "REFSYS_DELIVERY_KEY_FILE": str(delivery_key),
        "REFSYS_OPERATIONS_PORT": "0",
        **s3_variables(s3_server),
    }
    addresses = dict(
        zip(APIS, (endpoints.prip_url, endpoints.stac_url, endpoints.cadip_url, endpoints.metadata_url), strict=True)
    )
    started: list[subprocess.Popen[bytes]] = []
    for name in CHAIN:
        variables = common | ({} if name in WITHOUT_KAFKA else kafka_variables(kafka_server, name))
        if name in addresses:
            variables |= {"REFSYS_PUBLIC_URL": str(addresses[name]), "REFSYS_HTTPS_PORT": str(addresses[name].port)}
        with (tmp_path / f"{name}.log").open("wb") as log:
            command = [sys.executable, "-m", "refsys.services", name]
            started.append(subprocess.Popen(command, env=variables, stdout=log, stderr=log))
    for name, address in addresses.items():
        wait_until(partial(listens, address.port or 0), 90, name)
    yield
    for process in started:
        process.terminate()
    assert [process.wait(40) for process in started] == [0] * len(started)


def test_demo(chain: None, endpoints: Endpoints, engine: Engine, s3: S3Settings) -> None:
    """Twice the same files: published once. Then one of each kind is damaged in the object store."""
    console = Console(record=True, width=250)

    def published() -> list[list[tuple[object, ...]]]:
        products = (product.c.name, product.c.id, product.c.publication_date, product.c.bucket, product.c.object_key)
        files = (
            session_file.c.name,
            session_file.c.id,
            session_file.c.publication_date,
            session_file.c.bucket,
            session_file.c.object_key,
        )
        with engine.connect() as connection:
            return [
                [tuple(row) for row in connection.execute(select(*columns).order_by(columns[0]))]
                for columns in (products, files)
            ]

    def damage(bucket: object, key: object) -> None:
        found = ObjectStore(s3).head(str(bucket), str(key))
        assert found
        ObjectStore(s3).put(str(bucket), str(key), [b"x" * found.size], found.size)

    assert demo.run(endpoints, SAMPLES, console) == 0, console.export_text()
    first = products, files = published()
    assert len(products) >= 18 and len(files) == 24
    assert demo.run(endpoints, SAMPLES, console) == 0, console.export_text()
    assert published() == first
    text = console.export_text()
    assert text.count(f"{len(products)} products, 4 sessions with 32 files") == 2
    assert "all published once" in text

    name, _, _, bucket, key = files[-1]
    damage(bucket, key)
    assert demo.run(endpoints, SAMPLES, console) == 1
    assert f"{name}: MD5 differs" in console.export_text()
    name, _, _, bucket, key = products[0]
    damage(bucket, key)
    assert demo.run(endpoints, SAMPLES, console) == 1
    assert f"{name}: MD5 differs" in console.export_text()


def test_demo_without_an_environment(endpoints: Endpoints) -> None:
    console = Console(record=True, width=250)
    assert demo.run(endpoints, None, console) == 1
    text = console.export_text()
    assert "demo failed" in text and "fix: ./refsys status" in text
