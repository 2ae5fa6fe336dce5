"""The `ingestion-worker` process: streams each file from its station into the object store.

Idempotent on (name, size, checksum): the same file again is acknowledged, another content under the same
name is quarantined. Bytes are verified before the upload is completed, so a wrong file never appears.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import Counter
from sqlalchemy import Connection, Engine, RowMapping

from refsys.services.common import logs, process
from refsys.services.common.bus import Consumer, Producer, RejectedError
from refsys.services.common.database import exclusive, open_database
from refsys.services.common.digests import Digests
from refsys.services.common.families import Family, split_storage_path, storage_path
from refsys.services.common.messages import (
    CATALOG_JOB,
    INGESTION_JOB,
    CatalogJob,
    Checksum,
    IngestionJob,
    Trace,
    iso,
    utc_now,
)
from refsys.services.common.names import InvalidNameError, parse_name
from refsys.services.common.settings import (
    DatabaseSettings,
    KafkaSettings,
    S3Settings,
    StationsSettings,
    load,
)
from refsys.services.common.store import ObjectStore
from refsys.services.ingestion import inbox, stored
from refsys.services.ingestion.auxip import AuxipClient, ContentError, StationBusyError, StationError
from refsys.services.ingestion.stations import Station, load_stations

WORKERS = 4
CONTENT_ATTEMPTS = 3
STATION_ATTEMPTS = 20
BUSY_PAUSE_SECONDS = 10.0

BYTES = Counter("refsys_ingested_bytes_total", "Bytes stored, by station", ["station"])

log = logs.get_logger()


class DifferentContentError(Exception):
    """A file is stored under the name already, with another content."""


class StationPausedError(StationError):
    """The station failed a moment ago and is left alone, so that others' files are not held up."""


@dataclass
class IngestionWorker:
    """Handles ingestion jobs; threads may share it."""

    stations: Mapping[str, Station]
    engine: Engine
    store: ObjectStore
    producer: Producer
    _clients: dict[str, AuxipClient] = field(init=False)
    _busy_until: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Open a client for each station."""
        self._clients = {name: AuxipClient(station) for name, station in self.stations.items()}

    def handle(self, job: IngestionJob) -> None:
        """Bring one file in, and send its catalogue job; failures of the station are tried again later."""
        product_id = str(job.additional_metadata.get("productId", ""))
        try:
            parse_name(job.product_name)
        except InvalidNameError as error:
            raise RejectedError(f"product name {job.product_name!r}: {error}") from None
        if job.station_name not in self.stations:
            raise RejectedError(f"station {job.station_name!r} is not in the stations file; add it there")
        with (
            logs.task(
                "IngestionWorker",
                chain="INGESTION",
                mission=job.mission_id,
                satellite=job.satellite_id,
                follows=str(job.uid),
                filename=job.product_name,
                station=job.station_name,
                size=job.product_size_byte,
            ) as task,
            exclusive(self.engine, job.product_name) as connection,
        ):
            try:
                row = self._bring_in(connection, job, product_id)
            except (DifferentContentError, ContentError, StationError) as error:
                task.status, task.error_code = "NOK", 1
                self._failed(connection, job, product_id, error)
                return
            inbox.mark_stored(connection, job.station_name, product_id)
            self._hand_over(row)
            task.size_bytes = row["size"]
            task.output = {"filename": row["name"], "storage": row["storage_path"]}

    def _bring_in(self, connection: Connection, job: IngestionJob, product_id: str) -> RowMapping:
        """The row of the stored file, fetched now or before."""
        row = stored.find(connection, job.product_name)
        if row is None:
            return self._store(connection, job, product_id)
        real = stored.checksums_of(row)
        announced: Sequence[Checksum] = job.checksums
        size = job.product_size_byte
        if size == row["size"] and not stored.comparable(announced, real):
            size, announced = self._measure(job, product_id)
        if reason := stored.difference(size, announced, row["size"], real):
            raise DifferentContentError(f"another content is stored under this name: {reason}")
        bucket, key = split_storage_path(row["storage_path"])
        found = self.store.head(bucket, key)
        if found is None or found.size != row["size"]:
            log.warning("object is lost, storing it again", product=job.product_name)
            with Digests() as digests:
                self.store.put(bucket, key, self._verified(job, product_id, digests, real), row["size"])
        return row

    def _store(self, connection: Connection, job: IngestionJob, product_id: str) -> RowMapping:
        family = Family(job.product_family)
        path = storage_path(family, job.product_name)
        bucket, key = split_storage_path(path)
        with Digests(item.algorithm for item in job.checksums) as digests:
            chunks = self._verified(job, product_id, digests, job.checksums)
            self.store.put(bucket, key, chunks, job.product_size_byte)
        now = utc_now()
        BYTES.labels(job.station_name).inc(digests.size)
        return stored.add(
            connection,
            {
                "name": job.product_name,
                "size": digests.size,
                "checksums": [item.model_dump(mode="json") for item in digests.checksums(now)],
                "storage_path": path,
                "family": family,
                "mission": job.mission_id,
                "station": job.station_name,
                "publication_date": job.last_modified,
                "seen": job.trace.seen or now,
                "stored": now,
            },
        )

    def _verified(
        self, job: IngestionJob, product_id: str, digests: Digests, expected: Sequence[Checksum]
    ) -> Iterator[bytes]:
        """The bytes from the station; `ContentError` instead of the end if they are not the expected ones."""
        yield from digests.of(self._download(job, product_id))
        real = digests.checksums(utc_now())
        if reason := stored.difference(job.product_size_byte, expected, digests.size, real):
            raise ContentError(f"delivered {reason}")

    def _measure(self, job: IngestionJob, product_id: str) -> tuple[int, list[Checksum]]:
        """Size and checksums of the bytes at the station, without storing them."""
        with Digests() as digests:
            for _ in digests.of(self._download(job, product_id)):
                pass
            return digests.size, digests.checksums(utc_now())

    def _download(self, job: IngestionJob, product_id: str) -> Iterator[bytes]:
        if time.monotonic() < self._busy_until.get(job.station_name, 0):
            raise StationPausedError(f"station {job.station_name} is left alone after a failure")
        return self._clients[job.station_name].download(product_id, job.product_size_byte)

    def _failed(self, connection: Connection, job: IngestionJob, product_id: str, error: Exception) -> None:
        """Record the failure: another try later, or quarantine."""
        if isinstance(error, StationBusyError):
            self._busy_until[job.station_name] = time.monotonic() + BUSY_PAUSE_SECONDS
        limit = {DifferentContentError: 1, ContentError: CONTENT_ATTEMPTS}.get(type(error), STATION_ATTEMPTS)
        state = inbox.mark_failed(
            connection,
            job.station_name,
            product_id,
            str(error),
            limit=limit,
            counts=not isinstance(error, StationPausedError),
        )
        if state is None:
            raise RejectedError(f"no inbox entry for product {product_id} of {job.station_name}: {error}")
        log.error("file not stored", product=job.product_name, station=job.station_name, state=state, reason=str(error))

    def _hand_over(self, row: RowMapping) -> None:
        name = parse_name(row["name"])
        message = CatalogJob(
            mission_id=row["mission"],
            satellite_id=name.satellite_id,
            key_object_storage=row["name"],
            storage_path=row["storage_path"],
            product_family=row["family"],
            pod_name=process.pod_name(),
            product_size_byte=row["size"],
            station_name=row["station"],
            checksums=stored.checksums_of(row),
            additional_fields={"t0PdgsDate": iso(row["publication_date"])},
            trace=Trace(station_publication=row["publication_date"], seen=row["seen"], stored=row["stored"]),
        )
        self.producer.send(CATALOG_JOB, message, message.key())


def main() -> None:
    """Handle ingestion jobs until asked to stop."""
    stations = load_stations(load(StationsSettings).stations_file)
    database, kafka, s3 = load(DatabaseSettings), load(KafkaSettings), load(S3Settings)
    running = process.start("ingestion-worker")
    engine = open_database(database, running.name, pool_size=WORKERS)
    producer = Producer(kafka, running.name)
    worker = IngestionWorker(stations, engine, ObjectStore(s3), producer)
    Consumer(
        kafka,
        running,
        producer,
        topic=INGESTION_JOB,
        model=IngestionJob,
        handle=worker.handle,
        workers=WORKERS,
        batch=8 * WORKERS,
    ).run()
    engine.dispose()
