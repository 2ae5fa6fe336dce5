"""Fixtures of the tests of subscriptions and orders: a receiver of notifications and their sender."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from tests.means.certificates import Authority
from tests.services.serving import Receiver, receiving

from refsys.services.common.settings import DeliverySettings
from refsys.services.distribution.delivery.endpoints import Endpoints
from refsys.services.distribution.delivery.guard import Guard
from refsys.services.distribution.delivery.push import Pusher
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.distribution.delivery.sender import Sender


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
