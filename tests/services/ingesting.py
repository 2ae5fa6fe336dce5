"""Trigger and worker of some stations as a fixture, with real PostgreSQL, Kafka and S3."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import pytest
from sqlalchemy import Engine, text
from tests.services.conftest import Bus

from refsys.services.common.bus import Producer
from refsys.services.common.process import Process
from refsys.services.common.settings import KafkaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.common.virus_scan import Scanner
from refsys.services.ingestion.lanes import lanes, run_lanes
from refsys.services.ingestion.orders import DatabaseOrders
from refsys.services.ingestion.stations import Station
from refsys.services.ingestion.stations.sampling import Sampling
from refsys.services.ingestion.trigger import StationPoller
from refsys.services.ingestion.worker import IngestionWorker


@dataclass
class Ingestion:
    """Trigger and worker of some stations, with what they use."""

    engine: Engine
    store: ObjectStore
    bus: Bus
    pollers: dict[str, StationPoller]
    producer: Producer
    worker: IngestionWorker
    run_worker: Callable[[], AbstractContextManager[None]]

    def poll(self, station: str = "MTI_") -> int:
        return self.pollers[station].poll()

    def count(self, state: str) -> int:
        return int(self.value(f"SELECT count(*) FROM ingestion.inbox_entry WHERE state = '{state}'"))  # noqa: S608

    def value(self, query: str) -> int | str:
        with self.engine.connect() as connection:
            result: int | str = connection.execute(text(query)).scalar_one()
            return result


@pytest.fixture
def ingestion(  # noqa: PLR0917  # fixtures
    engine: Engine,
    store: ObjectStore,
    bus: Bus,
    kafka_settings: Callable[[str], KafkaSettings],
    new_process: Callable[[str], Process],
    in_thread: Callable[[Callable[[], None]], AbstractContextManager[None]],
) -> Callable[..., Ingestion]:
    def make(*stations: Station, sampling: Sampling | None = None, scanner: Scanner | None = None) -> Ingestion:
        trigger = Producer(kafka_settings("ingestion-trigger"), "ingestion-trigger")
        settings = kafka_settings("ingestion-worker")
        producer = Producer(settings, "ingestion-worker")
        handler = IngestionWorker(
            {station.name: station for station in stations}, engine, store, producer, DatabaseOrders(engine), scanner
        )

        @contextmanager
        def run_worker() -> Iterator[None]:
            process = new_process("ingestion-worker")
            handler.stop = process.stop
            consumers = lanes(handler.stations, handler.handle, producer, settings, process)
            with ExitStack() as stack:
                stack.enter_context(in_thread(partial(run_lanes, consumers, process.stop)))
                stack.callback(process.stop.set)
                yield

        pollers = {station.name: StationPoller(station, engine, trigger, sampling) for station in stations}
        return Ingestion(engine, store, bus, pollers, producer, handler, run_worker)

    return make
