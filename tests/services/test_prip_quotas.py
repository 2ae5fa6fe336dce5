"""Quotas by user, and that they are given back."""

import threading
import time
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import Engine, select, update
from tests.services.prip import Prip, stored

from refsys.services.common.settings import QuotaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.model import download, month
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.quotas import Quotas

pytest_plugins = ("tests.services.prip",)

REQUESTS, DOWNLOADS, BYTES = 30, 2, 1_000_000
EXPIRED = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def quotas() -> QuotaSettings:
    return QuotaSettings(requests_per_minute=REQUESTS, downloads=DOWNLOADS, bytes_per_month=BYTES)


def refused(answer: httpx.Response, quota: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["target"]) == (429, "QuotaExceeded", quota)
    assert int(answer.headers["Retry-After"]) > 0


def test_requests_per_minute(prip: Prip) -> None:
    if time.time() % 60 > 40:  # all in one minute
        time.sleep(61 - time.time() % 60)
    with prip.client("busy") as client, prip.client("other") as other:
        answers = [client.get("/odata/v1/") for _ in range(REQUESTS + 1)]
        assert [answer.status_code for answer in answers] == [200] * REQUESTS + [429]
        refused(answers[-1], "requests-per-minute")
        assert other.get("/odata/v1/").status_code == 200


def test_bytes_per_month(prip: Prip, engine: Engine, store: ObjectStore) -> None:
    address = stored(engine, store, "S1A_X.EOF", bytes(400_000))
    with prip.client() as client:
        assert [client.get(address).status_code for _ in range(2)] == [200, 200]
        refused(client.get(address), "bytes-per-month")
        assert client.get(address, headers={"Range": "bytes=0-99"}).status_code == 206
        assert client.head(address).status_code == 200

    with engine.connect() as connection:
        assert connection.execute(select(download.c.id)).all() == []
        assert connection.execute(select(month.c.bytes)).scalar_one() == 800_100


def test_parallel_downloads_over_replicas(engine: Engine, quotas: QuotaSettings) -> None:
    """As many admissions at once, from several services, as there are threads: never more than allowed."""
    services, leases, refusals = [Quotas(engine, quotas) for _ in range(4)], [], []

    def admit(service: Quotas) -> None:
        try:
            leases.append(service.open_download("demo", 10))
        except ODataError as error:
            refusals.append(error.target)

    threads = [threading.Thread(target=admit, args=(service,)) for service in services for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leases) == DOWNLOADS
    assert refusals == ["downloads"] * (12 - DOWNLOADS)
    services[0].close(leases[0], 10)
    services[1].open_download("demo", 10)


def test_lease_of_a_dead_process_ends(engine: Engine, quotas: QuotaSettings) -> None:
    service = Quotas(engine, quotas)
    for _ in range(DOWNLOADS):
        service.open_download("demo", BYTES // 2)
    with pytest.raises(ODataError):
        service.open_download("demo", 1)
    with engine.begin() as connection:
        connection.execute(update(download).values(expires=EXPIRED))
    service.open_download("demo", BYTES)  # what they did not deliver is not counted either


def test_broken_connections_give_the_lease_back(prip: Prip, engine: Engine, store: ObjectStore) -> None:
    address = stored(engine, store, "S1A_X.EOF", bytes(900_000))
    for _ in range(3):
        with prip.client() as client, client.stream("GET", address, headers={"Range": "bytes=0-200000"}) as answer:
            assert answer.status_code == 206
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with engine.connect() as connection:
            if not connection.execute(select(download.c.id)).all():
                return
        time.sleep(0.2)
    raise AssertionError("a lease is still there")
