"""The `log-indexer` process: from Kafka's topics of logs and traces into the store, each record once.

A record's id is made of what it says, a step's is its own, so that what is sent or written again changes nothing.
Offsets are committed when the store has the batch; while it is away nothing is taken from Kafka, which keeps a week.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b

import confluent_kafka
from prometheus_client import Counter

from refsys.services.common import logs, process
from refsys.services.common.batches import Batches
from refsys.services.common.messages import iso, utc_now
from refsys.services.common.settings import KafkaSettings, LogStoreSettings, load
from refsys.services.logs.records import document_of, plain
from refsys.services.logs.spans import UnreadableError, documents_of
from refsys.services.logs.store import Document, LogStore, StoreDownError
from refsys.services.logs.templates import KEPT, TRACES, index_of

NAME = "log-indexer"
TEMPLATES = ("logs", TRACES)
PART = 1000
WRITERS = 4
"""A batch is written in parts at the same time: while the store takes one, another is made ready."""
BATCHES = Batches(
    NAME,
    tuple(KEPT),
    WRITERS * PART,
    (StoreDownError,),
    {
        "queued.max.messages.kbytes": 16384,  # fetched before they are asked for
        "session.timeout.ms": 10_000,  # after which another one gets what a killed one read
    },
)
AGE_OUT_SECONDS = 3600.0

INDEXED = Counter("refsys_log_records_total", "Records written to the log store, by topic", ["topic"])
REFUSED = Counter("refsys_log_records_refused_total", "Records that the log store took only as plain text", ["topic"])

log = logs.get_logger()


def main() -> None:
    """Index until asked to stop."""
    kafka, settings = load(KafkaSettings), load(LogStoreSettings)
    running = process.start(NAME, traced=False)
    store = LogStore(settings)
    process.run_together(running, partial(serve, running, kafka, store), partial(_age_out, store, running.stop))
    store.close()


def serve(running: process.Process, kafka: KafkaSettings, store: LogStore) -> None:
    """Take batches and write them until `running` is asked to stop."""
    with ThreadPoolExecutor(WRITERS, "writer") as writers:
        if BATCHES.until_done(running, partial(prepare, store)):
            BATCHES.serve(running, kafka, partial(_write_parts, store, writers))


def prepare(store: LogStore) -> None:
    """Set the templates of the indices that this process writes."""
    for name in TEMPLATES:
        store.prepare(name)


def _write_parts(store: LogStore, writers: Executor, records: Sequence[confluent_kafka.Message]) -> None:
    # By topic, so that most parts go into one index: many small requests cost the store more.
    records = sorted(records, key=lambda record: record.topic() or "")
    parts = [records[first : first + PART] for first in range(0, len(records), PART)]
    for _ in writers.map(partial(write, store), parts):
        pass


def write(store: LogStore, records: Sequence[confluent_kafka.Message]) -> None:
    """Write a batch; what the store refuses is written as plain text."""
    by_index: dict[str, list[tuple[str, Document]]] = {}
    now = iso(utc_now())
    for record in records:
        for index, identifier, document in _placed(record):
            document["indexed"] = now
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


def _placed(record: confluent_kafka.Message) -> Iterator[tuple[str, str, Document]]:
    """Yield where the documents of a record go: index and id, and the document."""
    topic, given = record.topic() or "", record.value() or b""
    value = given if isinstance(given, bytes) else given.encode()
    received = datetime.fromtimestamp(record.timestamp()[1] / 1000, UTC)
    place = f"{topic}-{record.partition()}-{record.offset()}"
    for identifier, document, moment in _documents(topic, value, received, place):
        # A clock that is wrong must not make indices of other years.
        day = moment if abs(moment - received) < KEPT[topic] else received
        yield index_of(topic, day.date()), identifier, document


def _documents(topic: str, value: bytes, received: datetime, place: str) -> Iterable[tuple[str, Document, datetime]]:
    if topic != TRACES:
        return [identified(value, received, place)]
    try:
        return list(documents_of(value))
    except UnreadableError as error:
        REFUSED.labels(TRACES).inc()
        log.warning("a message of the traces is left out", record=place, reason=str(error))
        return []


def identified(value: bytes, received: datetime, place: str) -> tuple[str, Document, datetime]:
    """Return id, document and time of a record; `place` is where it is in Kafka.

    What a collector sends twice is the same to the last byte, since it says where the line was. The id begins with the
    time, so that the store soon knows that it is new.
    """
    document, moment = document_of(value, received)
    if document.pop("place", "") == "":
        return place, document, moment
    return f"{int(moment.timestamp() * 1000):012x}{blake2b(value, digest_size=12).hexdigest()}", document, moment


def _age_out(store: LogStore, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            for index in store.forget_old(utc_now().date()):
                log.info("an old index is gone", index=index)
        except StoreDownError as error:
            log.warning("old indices stay", reason=str(error)[:300])
        stop.wait(AGE_OUT_SECONDS)
