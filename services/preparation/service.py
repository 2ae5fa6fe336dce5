"""The `preparation` process: makes production jobs of catalogue events, and sends those that have their inputs."""

from functools import partial

from prometheus_client import Gauge
from sqlalchemy import Engine

from refsys.services.common import process
from refsys.services.common.bus import Consumer, Producer
from refsys.services.common.database import open_database
from refsys.services.common.messages import CATALOG_EVENT, CatalogEvent
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, PreparationSettings, S3Settings, load
from refsys.services.common.store import ObjectStore
from refsys.services.ingestion.stations.sampling import Sampling
from refsys.services.preparation.chains import Chains
from refsys.services.preparation.clock import Clock
from refsys.services.preparation.coverage import Masks
from refsys.services.preparation.preparation import Preparation
from refsys.services.preparation.sampling import load_sampling
from refsys.services.production.shelf import Shelf, shipped

WRONG = Gauge("refsys_production_chains_wrong", "Added chains that can't be used")

WORKERS = 2
CONNECTIONS = WORKERS + 3  # the clock: its notifications, and two at once


def main() -> None:
    """Work until asked to stop."""
    sampling = load_sampling(load(PreparationSettings).sampling_file)
    database, kafka, s3 = load(DatabaseSettings), load(KafkaSettings), load(S3Settings)
    running = process.start("preparation")
    engine = open_database(database, running.name, pool_size=CONNECTIONS)
    serve(running, kafka, engine, ObjectStore(s3), sampling)
    engine.dispose()


def serve(
    running: process.Process, kafka: KafkaSettings, engine: Engine, store: ObjectStore, sampling: Sampling
) -> None:
    """Prepare jobs until `running` is asked to stop."""
    chains = Chains(engine)
    preparation = Preparation(engine, Shelf(shipped()), Masks(store), sampling)

    def reload() -> None:
        if shelf := chains.changed():
            preparation.shelf = shelf
            WRONG.set(len(chains.wrong))

    def handle(event: CatalogEvent) -> None:
        if not chains.known:
            reload()
        preparation.take(event)

    # Each with a producer of its own: a flush reports on what was sent since the last one, by whomever.
    clock = Clock(engine, preparation, Producer(kafka, running.name), reload)
    consumer = Consumer(
        kafka,
        running,
        Producer(kafka, running.name),
        topic=CATALOG_EVENT,
        model=CatalogEvent,
        handle=handle,
        workers=WORKERS,
    )
    process.run_together(running, consumer.run, partial(clock.run, running))
