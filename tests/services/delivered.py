"""Fixtures of the tests of subscriptions and orders: the PRIP with its delivery, a receiver, a sender."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine
from tests.means.certificates import Authority
from tests.services.keycloak import Keycloak
from tests.services.serving import Receiver, Served, authenticator, downloads, receiving, served

from refsys.services.common.operations import Health
from refsys.services.common.settings import DeliverySettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.app import create_app
from refsys.services.distribution.delivery.api import attach
from refsys.services.distribution.delivery.endpoints import Endpoints
from refsys.services.distribution.delivery.guard import Guard
from refsys.services.distribution.delivery.push import Pusher
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.distribution.delivery.sender import Sender
from refsys.services.distribution.repository import Products

PUBLIC_URL = "https://prip.example.test"


@pytest.fixture
def delivery_settings(tmp_path: Path, authority: Authority) -> DeliverySettings:
    key_file = tmp_path / "delivery-key"
    key_file.write_text("correct-horse-battery-staple-0123456789\n")
    values = {"key_file": key_file, "allowed_networks": ["127.0.0.0/8", "::1/128"], "ca_file": authority.ca_file}
    return DeliverySettings.model_validate(values)


@pytest.fixture
def prip(
    engine: Engine, store: ObjectStore, keycloak: Keycloak, authority: Authority, delivery_settings: DeliverySettings
) -> Iterator[Served]:
    app = create_app(Products(engine), downloads(engine, store), authenticator(keycloak), PUBLIC_URL, Health())
    attach(app, engine, delivery_settings)
    with served(app, "prip", authority, keycloak) as running:
        yield running


@pytest.fixture
def client(prip: Served) -> Iterator[httpx.Client]:
    with prip.client() as client:
        yield client


@pytest.fixture
def receiver(authority: Authority) -> Iterator[Receiver]:
    with receiving(authority) as receiver:
        yield receiver


@pytest.fixture
def sender(engine: Engine, delivery_settings: DeliverySettings) -> Sender:
    """A sender that tries again almost at once."""
    guard = Guard(delivery_settings.allowed_networks)
    endpoints = Endpoints(Cipher(delivery_settings.key_file), guard)
    return Sender(engine, endpoints, Pusher(guard, delivery_settings.ca_file), pause=0.02)
