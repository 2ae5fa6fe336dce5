"""The `notifier` process: matches product events with subscriptions, and posts notifications.

The events come from `distribution.product` itself, written by a trigger in the transaction of each change: on Kafka
a `catalog-event` comes before the product is visible, here it cannot.
"""

import threading
import time

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.logs import get_logger
from refsys.services.common.settings import DatabaseSettings, DeliverySettings, PripSettings, load
from refsys.services.distribution.access import DEFAULT, Roles, read_roles
from refsys.services.distribution.delivery import queue
from refsys.services.distribution.delivery.endpoints import Endpoints
from refsys.services.distribution.delivery.guard import Guard
from refsys.services.distribution.delivery.matching import match
from refsys.services.distribution.delivery.push import Pusher
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.distribution.delivery.sender import Sender

SENDERS = 4
POLL_SECONDS = 1.0
EXPIRE_SECONDS = 60.0
UNAVAILABLE_SECONDS = 5.0

log = get_logger()


def main() -> None:
    """Notify until the process is asked to stop."""
    running = process.start("notifier")
    settings, roles = load(DeliverySettings), read_roles(load(PripSettings).collections_file)
    engine = open_database(load(DatabaseSettings), running.name, pool_size=SENDERS + 2)
    guard = Guard(settings.allowed_networks)
    sender = Sender(engine, Endpoints(Cipher(settings.key_file), guard), Pusher(guard, settings.ca_file))
    run(running, engine, sender, roles)
    engine.dispose()


def run(running: process.Process, engine: Engine, sender: Sender, roles: Roles = DEFAULT) -> None:
    """Match in this thread and post in others until `running` is asked to stop."""
    senders = [
        threading.Thread(target=_send, args=(running, sender), name=f"sender-{number}") for number in range(SENDERS)
    ]
    for thread in senders:
        thread.start()
    expired = float("-inf")
    while not running.stop.is_set():
        try:
            if time.monotonic() - expired > EXPIRE_SECONDS:
                removed, expired = queue.expire(engine), time.monotonic()
                if any(removed.values()):
                    log.info("expired notifications removed", **removed)
            matched = match(engine, roles)
        except (DBAPIError, PoolTimeoutError) as error:
            running.health.not_ready(f"PostgreSQL: {type(error).__name__}")
            log.warning("matching failed, trying again", error=f"{type(error).__name__}: {error}"[:500])
            running.stop.wait(UNAVAILABLE_SECONDS)
            continue
        running.health.ready()
        if not matched:
            running.stop.wait(POLL_SECONDS)
    for thread in senders:
        thread.join()


def _send(running: process.Process, sender: Sender) -> None:
    while not running.stop.is_set():
        try:
            posted = sender.send()
        except (DBAPIError, PoolTimeoutError) as error:
            log.warning("posting failed, trying again", error=f"{type(error).__name__}: {error}"[:500])
            running.stop.wait(UNAVAILABLE_SECONDS)
            continue
        if not posted:
            running.stop.wait(POLL_SECONDS)
