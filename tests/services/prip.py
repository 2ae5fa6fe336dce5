"""The PRIP over HTTPS on real PostgreSQL and S3: `pytest_plugins = ("tests.services.prip",)`.

Tokens are signed by a key of the test; that of the realm's own tokens is the matter of test_prip_access.py.
"""

import ssl
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine
from tests.means import issuer
from tests.means.certificates import Authority
from tests.means.processes import free_port
from tests.services.published import BUCKET, EPOCH, attributes, event

from refsys.services.common import https
from refsys.services.common.operations import Health
from refsys.services.common.settings import DeliverySettings, QuotaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.app import create_app
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.delivery.api import attach
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.publisher import publish
from refsys.services.distribution.quotas import Quotas
from refsys.services.distribution.repository import Products

PUBLIC_URL = "https://prip.example.test"
ATTRIBUTE = "Attributes/OData.CSC.{0}Attribute/any(att:att/Name eq '{1}' and att/OData.CSC.{0}Attribute/Value {2})"
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
ROLES = ("prip-user", "operator")


@dataclass(frozen=True)
class Prip:
    """A running service and how to reach it."""

    url: str
    trusted: ssl.SSLContext
    health: Health

    def client(self, user: str = "demo", roles: Collection[str] = ROLES) -> httpx.Client:
        return self.anonymous(**issuer.bearer(user, roles))

    def anonymous(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.trusted, headers=headers, timeout=60, trust_env=False)


@contextmanager
def running(
    engine: Engine,
    downloads: Downloads,
    authority: Authority,
    authenticator: Authenticator,
    delivery_settings: DeliverySettings,
) -> Iterator[Prip]:
    """The service on a free port until the context ends."""
    health, port = Health(), free_port()
    app = create_app(Products(engine), downloads, authenticator, PUBLIC_URL, health)
    attach(app, engine, delivery_settings)
    certificate = authority.issue("prip")
    server = https.server(app, certificate.certificate_file, certificate.key_file, port)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        until = time.monotonic() + 60
        while not server.started and time.monotonic() < until:
            time.sleep(0.05)
        assert server.started
        yield Prip(f"https://localhost:{port}", ssl.create_default_context(cafile=str(authority.ca_file)), health)
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture
def quotas() -> QuotaSettings:
    """The quotas of each user; a test module with others has a fixture of the same name."""
    return QuotaSettings()


@pytest.fixture
def delivery_settings(tmp_path: Path, authority: Authority) -> DeliverySettings:
    key_file = tmp_path / "delivery-key"
    key_file.write_text("correct-horse-battery-staple-0123456789\n")
    values = {"key_file": key_file, "allowed_networks": ["127.0.0.0/8", "::1/128"], "ca_file": authority.ca_file}
    return DeliverySettings.model_validate(values)


@pytest.fixture
def prip(
    engine: Engine,
    store: ObjectStore,
    quotas: QuotaSettings,
    authority: Authority,
    delivery_settings: DeliverySettings,
) -> Iterator[Prip]:
    downloads = Downloads(store, Quotas(engine, quotas))
    with running(engine, downloads, authority, issuer.authenticator(), delivery_settings) as service:
        yield service


@pytest.fixture
def client(prip: Prip) -> Iterator[httpx.Client]:
    with prip.client() as client:
        yield client


@pytest.fixture
def five(engine: Engine) -> list[str]:
    """The names of five published products, in the order of publication."""
    products = [
        event("S1A_OPER_AUX_RESORB.EOF", b"1", 0),
        event("S1C_OPER_AUX_POEORB.EOF", b"22", 1, attributes=attributes(productType="AUX_POEORB", orbitNumber=7)),
        event("S2B_OPER_AUX_ECMWFD.TGZ", b"333", 2, attributes=attributes(productType="AUX_ECMWFD", cloudCover=1.5)),
        event("S3A_OL_1_EFR____.SEN3.zip", b"4444", 3, footprint=SQUARE, attributes=attributes(processingDate=EPOCH)),
        event("S1D it's odd.xml", b"55555", 4, attributes=attributes(cycleNumber=265, valid=True)),
    ]
    for each in products:
        publish(engine, each)
    return [each.key_object_storage for each in products]


def found(client: httpx.Client, text: str, **options: str) -> list[str]:
    answer = client.get("/odata/v1/Products", params={"$filter": text, **{f"${k}": v for k, v in options.items()}})
    assert answer.status_code == 200, answer.text
    return [product["Name"] for product in answer.json()["value"]]


def stored(engine: Engine, store: ObjectStore, name: str, content: bytes) -> str:
    store.put(BUCKET, name, [content], len(content))
    given = event(name, content)
    publish(engine, given)
    return f"/odata/v1/Products({given.product_id})/$value"
