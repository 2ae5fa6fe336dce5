"""The `compression-worker` process: makes archives of products and products of archives, from store to store.

Bytes stream through; an output appears when it is complete, with checksums taken while it was written. The same job
again finds its output in the ledger and only sends the event again.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import uuid5

from prometheus_client import Counter
from sqlalchemy import Connection, Engine, RowMapping

from refsys.services.common import logs, process, tracing
from refsys.services.common.ahead import made_ahead
from refsys.services.common.bus import Consumer, Producer, RejectedError, run_together
from refsys.services.common.database import exclusive, open_database
from refsys.services.common.digests import Digests
from refsys.services.common.families import BUCKETS, split_storage_path, storage_path
from refsys.services.common.messages import (
    COMPRESSION_EVENT,
    COMPRESSION_JOB_HIGH,
    COMPRESSION_JOB_LOW,
    COMPRESSION_JOB_MEDIUM,
    Checksum,
    CompressionEvent,
    CompressionJob,
    Direction,
    utc_now,
)
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, S3Settings, load
from refsys.services.common.store import MIB, ObjectStore
from refsys.services.compression import ledger
from refsys.services.compression.archives import SourceError, pack, size_limit
from refsys.services.compression.gate import Gate, StoppedError
from refsys.services.compression.products import PartnerMissingError, members
from refsys.services.compression.reaper import keep_clean
from refsys.services.compression.rules import rule_of
from refsys.services.compression.tables import DONE
from refsys.services.compression.unpack import HostileArchiveError, unpack

TIMEOUT_SECONDS = 4500.0
WEIGHTS = {COMPRESSION_JOB_HIGH: 12, COMPRESSION_JOB_MEDIUM: 3, COMPRESSION_JOB_LOW: 1}
SLOTS = 2
# More than one of each priority at the gate, so that the next one waits there while one is done.
AT_GATE = 2
# A round's worth: between two batches of a priority the slot goes to a lower one.
BATCH = 12
REQUEUE_SECONDS = 15.0
ARCHIVE_BUFFER_BYTES = 4 * MIB
CONTENT_TYPES = {".zip": "application/zip", ".tgz": "application/gzip", ".tar": "application/x-tar"}

BYTES = Counter("refsys_compression_bytes_total", "Bytes of outputs, by direction", ["direction"])

log = logs.get_logger()


class JobTimeoutError(Exception):
    """A job took longer than it may."""


@dataclass(frozen=True)
class Worker:
    """Handles compression jobs of one priority; threads may share it."""

    engine: Engine
    store: ObjectStore
    producer: Producer
    gate: Gate
    topic: str
    stop: threading.Event
    timeout_seconds: float = TIMEOUT_SECONDS

    def handle(self, job: CompressionJob) -> None:
        """Do one job and send its event; a job that is done already only has its event sent again."""
        if job.output_product_family not in BUCKETS:
            raise RejectedError(f"outputProductFamily {job.output_product_family!r} has no bucket")
        output = storage_path(job.output_product_family, job.output_key_object_storage)
        with self.gate.slot(self.topic), exclusive(self.engine, f"compression {output}") as connection:
            row = ledger.find(connection, output)
            if row is not None and row["state"] == DONE and row["source_size"] != job.product_size_byte:
                raise RejectedError(f"{output} was made of {row['source_size']} bytes, not {job.product_size_byte}")
            if row is None or row["state"] != DONE or not self._is_there(job, row):
                row = self._work(connection, job, output)
        if row is not None:
            event = event_of(job, row)
            self.producer.send(COMPRESSION_EVENT, event, event.key())

    def _is_there(self, job: CompressionJob, row: RowMapping) -> bool:
        bucket, key = split_storage_path(row["output_path"])
        size: int = row["size"]
        if job.compression_direction is Direction.UNCOMPRESS:
            return sum(each.size for each in self.store.list_folder(bucket, key)) == size
        found = self.store.head(bucket, key)
        return found is not None and found.size == size

    def _work(self, connection: Connection, job: CompressionJob, output: str) -> RowMapping | None:
        """The job's row when it is done, None if it has to wait."""
        packs = job.compression_direction is Direction.COMPRESS
        with logs.task(
            "CompressionProcessing" if packs else "UncompressionProcessing",
            chain="COMPRESSION",
            mission=job.mission_id,
            satellite=job.satellite_id,
            follows=str(job.uid),
            filename=job.key_object_storage,
        ) as task:
            begun = ledger.start(connection, job, output, self.topic)
            try:
                with tracing.step("compress" if packs else "uncompress", output=job.output_key_object_storage):
                    size, checksums = self._pack(job, output) if packs else self._unpack(job, output)
            except PartnerMissingError as missing:
                task.status, task.error_code = "NOK", 1
                if utc_now() - begun["first_started"] > ledger.WAIT_LIMIT:
                    self._give_up(connection, output, missing)
                ledger.waiting(connection, output, str(missing))
                tracing.running().failed(str(missing))
                log.warning("job waits", product=job.key_object_storage, reason=str(missing))
                return None
            except (SourceError, HostileArchiveError, JobTimeoutError) as error:
                task.status = "TIMEOUT" if isinstance(error, JobTimeoutError) else "NOK"
                task.error_code = 1
                self._give_up(connection, output, error)
            task.size_bytes = size
            task.output = {"filename": job.output_key_object_storage, "storage": output}
            BYTES.labels(job.compression_direction).inc(size)
            return ledger.done(connection, output, size, checksums)

    def _give_up(self, connection: Connection, output: str, error: Exception) -> None:
        ledger.failed(connection, output, str(error))
        raise RejectedError(f"{output} is not made: {error}") from error

    def _pack(self, job: CompressionJob, output: str) -> tuple[int, list[Checksum]]:
        rule = rule_of(job.product_family, job.key_object_storage)
        if rule is None or rule.format is None:
            raise SourceError(f"no rule compresses {job.key_object_storage} of family {job.product_family}")
        files = members(self.store, job.storage_path, job.product_size_byte)
        bucket, key = split_storage_path(output)
        with Digests() as digests:
            with made_ahead(self._in_time(digests.of(pack(rule.format, files)), self._end())) as chunks:
                self.store.put(bucket, key, chunks, size_limit(files))
            return digests.size, digests.checksums(utc_now())

    def _unpack(self, job: CompressionJob, output: str) -> tuple[int, list[Checksum]]:
        """Total size of the files; each is an object of its own, so that there is no checksum of all."""
        bucket, root = split_storage_path(output)
        source_bucket, source_key = split_storage_path(job.storage_path)
        total, end = 0, self._end()
        try:
            with self.store.open(source_bucket, source_key, ARCHIVE_BUFFER_BYTES) as file:
                for each in unpack(source_key, file, job.product_size_byte):
                    path = f"{root}/{each.path.removeprefix(root + '/')}"
                    with made_ahead(self._in_time(each.chunks, end)) as chunks:
                        self.store.put(bucket, path, chunks, each.size)
                    total += each.size
        except FileNotFoundError:
            raise SourceError(f"{job.storage_path} is not there") from None
        except HostileArchiveError:
            self.store.delete_folder(bucket, root)
            raise
        return total, []

    def _end(self) -> float:
        return time.monotonic() + self.timeout_seconds

    def _in_time(self, chunks: Iterable[bytes], end: float) -> Iterator[bytes]:
        for chunk in chunks:
            if self.stop.is_set():
                raise StoppedError
            if time.monotonic() > end:
                raise JobTimeoutError(f"not finished after {self.timeout_seconds:.0f} s")
            yield chunk


def event_of(job: CompressionJob, row: RowMapping) -> CompressionEvent:
    """The event of a job that is done, the same however often it is sent."""
    given = {name: getattr(job, name) for name in CompressionJob.model_fields}
    output: str = row["output_path"]
    source = {
        "sourceKeyObjectStorage": job.key_object_storage,
        "sourceProductFamily": job.product_family,
        "sourceStoragePath": job.storage_path,
    }
    unpacked = job.compression_direction is Direction.UNCOMPRESS
    given |= {
        "uid": uuid5(job.product_id, f"{COMPRESSION_EVENT} {job.compression_direction}"),
        "creation_date": row["finished"],
        "key_object_storage": job.output_key_object_storage,
        "product_family": job.output_product_family,
        "storage_path": f"{output}/" if unpacked else output,
        "product_size_byte": row["size"],
        "checksums": [Checksum.model_validate(each) for each in row["checksums"]],
        "content_type": CONTENT_TYPES.get(output[-4:].lower(), "application/octet-stream"),
        "metadata": {**job.metadata, **source},
    }
    return CompressionEvent(**given)


def requeue(engine: Engine, producer: Producer, stop: threading.Event) -> None:
    """Queue jobs that wait for a file again, until asked to stop."""
    while not stop.wait(REQUEUE_SECONDS):
        try:
            for topic, job in ledger.take_due(engine):
                with tracing.beginning("retry", job.trace_id(), product=job.key()):
                    producer.send(topic, job, job.key())
            producer.flush()
        except Exception as error:  # tried again in a while
            log.warning("waiting jobs are not queued", error=f"{type(error).__name__}: {error}")


def consume(running: process.Process, kafka: KafkaSettings, engine: Engine, store: ObjectStore, gate: Gate) -> None:
    """Do the jobs of all priorities, as `gate` lets them, until `running` is asked to stop."""

    def consumer(topic: str) -> Consumer[CompressionJob]:
        producer = Producer(kafka, running.name)
        handle = Worker(engine, store, producer, gate, topic, running.stop).handle
        return Consumer(
            kafka,
            running,
            producer,
            topic=topic,
            model=CompressionJob,
            handle=handle,
            workers=AT_GATE,
            batch=BATCH,
            group=topic,
        )

    arguments = (engine, Producer(kafka, running.name), running.stop)
    threading.Thread(target=requeue, args=arguments, name="requeue", daemon=True).start()
    run_together(running, [consumer(topic) for topic in WEIGHTS])


def main() -> None:
    """Work until the process is asked to stop."""
    database, kafka, s3 = load(DatabaseSettings), load(KafkaSettings), load(S3Settings)
    running = process.start("compression-worker")
    engine = open_database(database, running.name, pool_size=SLOTS + 1)
    keep_clean(s3, running.stop)
    consume(running, kafka, engine, ObjectStore(s3), Gate(WEIGHTS, SLOTS, running.stop))
    engine.dispose()
