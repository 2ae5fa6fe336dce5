"""The `lifecycle` process: keeps `lifecycle.data`, evicts, and carries out reconciliations that operators start."""

from functools import partial

from refsys.services.common import process
from refsys.services.common.bus import Consumer, Producer
from refsys.services.common.database import open_database
from refsys.services.common.messages import CATALOG_EVENT, COMPRESSION_EVENT, CatalogEvent, CompressionEvent
from refsys.services.common.settings import (
    DatabaseSettings,
    KafkaSettings,
    LifecycleSettings,
    ReconciliationSettings,
    S3Settings,
    load,
)
from refsys.services.common.store import ObjectStore
from refsys.services.lifecycle.evictor import Evictor
from refsys.services.lifecycle.policies import load_policies
from refsys.services.lifecycle.record import record
from refsys.services.reconciliation.runs import Reconciler

WORKERS = 2
CONNECTIONS = 2 * WORKERS + 5  # consumers, evictor, reconciliation


def main() -> None:
    """Work until asked to stop."""
    policies = load_policies(load(LifecycleSettings).policies_file)
    settle = load(ReconciliationSettings).settle_seconds
    database, kafka, s3 = load(DatabaseSettings), load(KafkaSettings), load(S3Settings)
    running = process.start("lifecycle")
    engine = open_database(database, running.name, pool_size=CONNECTIONS)
    store = ObjectStore(s3)
    # Each with a producer of its own: a flush reports on what was sent since the last one, by whomever.
    consumers = [
        Consumer(
            kafka,
            running,
            Producer(kafka, running.name),
            topic=topic,
            model=model,
            handle=partial(record, engine, policies),
            workers=WORKERS,
        )
        for topic, model in ((CATALOG_EVENT, CatalogEvent), (COMPRESSION_EVENT, CompressionEvent))
    ]
    evictor = Evictor(engine, store)
    reconciler = Reconciler(engine, store, Producer(kafka, running.name), settle)
    process.run_together(
        running,
        *(consumer.run for consumer in consumers),
        partial(evictor.run, running.stop),
        partial(reconciler.serve, running.stop),
    )
    engine.dispose()
