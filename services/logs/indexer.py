"""The `log-indexer` process: from Kafka's topics of logs into the store, each record once.

A record's id is its place in Kafka, so that a batch that is written again changes nothing. Offsets are committed when
the store has the batch; while it is away nothing is taken from Kafka, which keeps a week.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import confluent_kafka
from confluent_kafka import KafkaException
from prometheus_client import Counter

from refsys.services.common import logs, process
from refsys.services.common.bus import kafka_options
from refsys.services.common.messages import iso, utc_now
from refsys.services.common.settings import KafkaSettings, LogStoreSettings, load
from refsys.services.logs.records import document_of, plain
from refsys.services.logs.store import Document, LogStore, StoreDownError
from refsys.services.logs.templates import LOGS, index_of

NAME = "log-indexer"
TEMPLATE = "logs"
BATCH = 1000
GATHER_SECONDS = 1.0
RETRY_SECONDS = 3.0
AGE_OUT_SECONDS = 3600.0

INDEXED = Counter("refsys_log_records_total", "Records written to the log store, by topic", ["topic"])
REFUSED = Counter("refsys_log_records_refused_total", "Records that the log store took only as plain text", ["topic"])

log = logs.get_logger()


def main() -> None:
    """Index until asked to stop."""
    kafka, settings = load(KafkaSettings), load(LogStoreSettings)
    running = process.start(NAME)
    store = LogStore(settings)
    process.run_together(running, partial(serve, running, kafka, store), partial(_age_out, store, running.stop))
    store.close()


def serve(running: process.Process, kafka: KafkaSettings, store: LogStore) -> None:
    """Take batches and write them until `running` is asked to stop."""
    consumer = confluent_kafka.Consumer(
        kafka_options(kafka, NAME)
        | {
            "group.id": NAME,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
        },
        logger=logging.getLogger("kafka"),
    )
    consumer.subscribe(list(LOGS))
    try:
        if _until_done(running, partial(store.prepare, TEMPLATE)):
            while not running.stop.is_set():
                _take(running, consumer, store)
    finally:
        consumer.close()


def _take(running: process.Process, consumer: confluent_kafka.Consumer, store: LogStore) -> None:
    messages = consumer.consume(BATCH, GATHER_SECONDS)
    for message in messages:
        if (error := message.error()) is not None:
            log.warning("Kafka reports an error", error=error.str())
            if error.fatal():
                raise KafkaException(error)
    records = [message for message in messages if message.error() is None]
    if not records:
        running.health.ready()
        return
    if _until_done(running, partial(write, store, records)):
        _commit(consumer)


def write(store: LogStore, records: Sequence[confluent_kafka.Message]) -> None:
    """Write a batch; what the store refuses is written as plain text."""
    by_index: dict[str, list[tuple[str, Document]]] = {}
    for record in records:
        index, identifier, document = _placed(record)
        by_index.setdefault(index, []).append((identifier, document))
    for index, documents in by_index.items():
        refused = store.write(index, documents)
        store.keep(index, [_as_text(documents[position], reason) for position, reason in refused.items()])
        kind = index.rpartition("-")[0]
        INDEXED.labels(kind).inc(len(documents))
        REFUSED.labels(kind).inc(len(refused))


def _as_text(placed: tuple[str, Document], reason: str) -> tuple[str, Document]:
    identifier, document = placed
    log.warning("a record is kept as plain text", record=identifier, reason=reason)
    return identifier, plain(document, reason)


def _placed(record: confluent_kafka.Message) -> tuple[str, str, Document]:
    """Return where the document of a record goes: index and id, and the document."""
    topic, value = record.topic() or "", record.value() or b""
    received = datetime.fromtimestamp(record.timestamp()[1] / 1000, UTC)
    document, moment = document_of(value if isinstance(value, bytes) else value.encode(), received)
    identifier = f"{topic}-{record.partition()}-{record.offset()}"
    # A clock that is wrong must not make indices of other years.
    day = moment if abs(moment - received) < LOGS[topic] else received
    return index_of(topic, day.date()), identifier, document | {"indexed": iso(utc_now())}


def _until_done(running: process.Process, act: Callable[[], None]) -> bool:
    """Act until it works; False if the process is asked to stop first.

    An absence longer than Kafka waits for a member costs the membership, and the batch is taken again: no matter,
    since its records keep their ids.
    """
    while not running.stop.is_set():
        try:
            act()
        except StoreDownError as error:
            running.health.not_ready(str(error))
            log.warning("the log store is waited for", reason=str(error)[:300], retry_seconds=RETRY_SECONDS)
            running.stop.wait(RETRY_SECONDS)
        else:
            running.health.ready()
            return True
    return False


def _commit(consumer: confluent_kafka.Consumer) -> None:
    try:
        consumer.commit(asynchronous=False)
    except KafkaException as error:
        log.warning("commit refused, records will be written again", error=str(error))


def _age_out(store: LogStore, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            for index in store.forget_old(utc_now().date()):
                log.info("an old index is gone", index=index)
        except StoreDownError as error:
            log.warning("old indices stay", reason=str(error)[:300])
        stop.wait(AGE_OUT_SECONDS)
