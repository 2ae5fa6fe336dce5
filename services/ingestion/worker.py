"""The `ingestion-worker` process: streams each file from its station into the object store.

Idempotent on (place, size, checksum): the same file again is acknowledged, another content in the same
place is quarantined. Bytes are verified before the upload is completed, so a wrong file never appears.

Each station has a lane of its own, a consumer with its own threads: however slow or faulty a station is, the files of
the others come in.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Semaphore
from typing import Any

from prometheus_client import Counter
from sqlalchemy import Connection, Engine, RowMapping

from refsys.services.common import logs, process, tracing
from refsys.services.common.bus import Producer, RejectedError
from refsys.services.common.database import exclusive, open_database
from refsys.services.common.digests import OF_PRODUCTS, OF_SESSIONS, Digests
from refsys.services.common.families import Family, split_storage_path, storage_path
from refsys.services.common.messages import (
    CATALOG_JOB,
    CatalogJob,
    Checksum,
    IngestionJob,
    Trace,
    iso,
    utc_now,
)
from refsys.services.common.names import InvalidNameError, parse_name
from refsys.services.common.pod import pod_name
from refsys.services.common.reports import seen
from refsys.services.common.settings import (
    ClamdSettings,
    DatabaseSettings,
    KafkaSettings,
    S3Settings,
    StationsSettings,
    load,
)
from refsys.services.common.store import ObjectStore
from refsys.services.common.virus_scan import InfectedError, Scanner
from refsys.services.ingestion import inbox, session_tables, stored
from refsys.services.ingestion.errors import ContentError, NotOnlineError, StationBusyError, StationError
from refsys.services.ingestion.intake import listed_file, object_key
from refsys.services.ingestion.lanes import lanes, run_lanes
from refsys.services.ingestion.orders import DatabaseOrders, Orders
from refsys.services.ingestion.sessions import MADE
from refsys.services.ingestion.source import ListedFile, SessionFile, Source
from refsys.services.ingestion.sources import open_source
from refsys.services.ingestion.stations import Station, load_stations
from refsys.services.ingestion.throttle import Throttle

CONTENT_ATTEMPTS = 3
STATION_ATTEMPTS = 20
BUSY_PAUSE_SECONDS = 10.0
SCANNED_BYTES = 2_000 * 10**6  # clamd takes no more
ORDER_SECONDS = 60.0  # between two looks at an order

BYTES = Counter("refsys_ingested_bytes_total", "Bytes stored, by station", ["station"])

log = logs.get_logger()


class DifferentContentError(Exception):
    """A file is stored under the name already, with another content."""


class StationPausedError(StationError):
    """The station failed a moment ago and is left alone, so that others' files are not held up."""


class StoppingError(Exception):
    """The process stops; the job stays in the queue."""


@dataclass
class IngestionWorker:
    """Handles ingestion jobs; threads may share it."""

    stations: Mapping[str, Station]
    engine: Engine
    store: ObjectStore
    producer: Producer
    orders: Orders
    scanner: Scanner | None = None
    """Looks at every file but those of sessions, which are a satellite's signal and nothing that a program opens."""
    stop: Event = field(default_factory=Event)
    _sources: dict[str, Source] = field(init=False)
    _connections: dict[str, Semaphore] = field(init=False)
    _throttles: dict[str, Throttle] = field(init=False)
    _busy_until: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Open a client for each station."""
        self._sources = {name: open_source(station, self.orders) for name, station in self.stations.items()}
        self._connections = {name: Semaphore(station.connections) for name, station in self.stations.items()}
        self._throttles = {
            name: Throttle(station.bandwidth_bytes)
            for name, station in self.stations.items()
            if station.bandwidth_bytes
        }

    def handle(self, job: IngestionJob) -> None:
        """Bring one file in, and send its catalogue job; failures of the station are tried again later."""
        try:
            parse_name(job.product_name)
            file = listed_file(job)
            path = storage_path(Family(job.product_family), object_key(file.name, file.session))
        except (InvalidNameError, ValueError) as error:
            raise RejectedError(f"product {job.product_name!r}: {error}") from None
        if path != job.storage_path:
            raise RejectedError(f"product {job.product_name!r}: its place is {path}, not {job.storage_path}")
        if job.source_name not in self.stations:
            raise RejectedError(f"station {job.source_name!r} is not in the stations file; add it there")
        with (
            logs.task(
                "IngestionWorker",
                chain="INGESTION",
                mission=job.mission_id,
                satellite=job.satellite_id,
                follows=str(job.uid),
                filename=job.product_name,
                station=job.station_name,
                family=job.product_family,
            ) as task,
            exclusive(self.engine, job.storage_path) as connection,
        ):
            task.output = seen(job.trace, job.last_modified)
            try:
                row = self._bring_in(connection, job, file)
            except (DifferentContentError, InfectedError, ContentError, StationError) as error:
                task.status, task.error_code = "NOK", 1
                self._failed(connection, job, file, error)
                return
            inbox.mark_stored(connection, job.source_name, file.id)
            self._hand_over(row, job)
            task.size_bytes = row["size"]
            task.output |= {"storage": row["storage_path"], "ingestion": row["stored"]}

    def _bring_in(self, connection: Connection, job: IngestionJob, file: ListedFile) -> RowMapping:
        """The row of the stored file, fetched now or before."""
        row = stored.find(connection, job.storage_path)
        if row is None:
            return self._store(connection, job, file)
        real = stored.checksums_of(row)
        announced: Sequence[Checksum] = file.checksums
        size = file.size
        if size in (None, row["size"]) and not stored.comparable(announced, real) and not _is_same_offer(row, job):
            size, announced = self._measure(connection, job, file)
        if reason := stored.difference(size, announced, row["size"], real):
            raise DifferentContentError(f"another content is stored under this name: {reason}")
        bucket, key = split_storage_path(row["storage_path"])
        found = self.store.head(bucket, key)
        if found is None or found.size != row["size"]:
            log.warning("object is lost, storing it again", product=job.product_name)
            with Digests(item.algorithm for item in real) as digests:
                self.store.put(bucket, key, self._verified(connection, job, file, digests, real), row["size"])
        return row

    def _store(self, connection: Connection, job: IngestionJob, file: ListedFile) -> RowMapping:
        bucket, key = split_storage_path(job.storage_path)
        usual = OF_SESSIONS if file.session else OF_PRODUCTS
        algorithms = [*usual, *(item.algorithm for item in file.checksums)]
        with Digests(algorithms) as digests, tracing.step("store", bucket=bucket):
            chunks = self._verified(connection, job, file, digests, file.checksums)
            self.store.put(bucket, key, chunks, file.size)
        now = utc_now()
        BYTES.labels(job.source_name).inc(digests.size)
        return stored.add(
            connection,
            {
                "name": job.product_name,
                "size": digests.size,
                "checksums": [item.model_dump(mode="json") for item in digests.checksums(now)],
                "storage_path": job.storage_path,
                "family": Family(job.product_family),
                "mission": job.mission_id,
                "station": job.station_name,
                "publication_date": job.last_modified,
                "seen": job.trace.seen or now,
                "stored": now,
            },
        )

    def _verified(
        self,
        connection: Connection,
        job: IngestionJob,
        file: ListedFile,
        digests: Digests,
        expected: Sequence[Checksum],
    ) -> Iterator[bytes]:
        """The bytes from the station; an error instead of the end if they are not the expected ones, or infected."""
        chunks = tracing.streamed("download", self._download(connection, job, file))
        if self._is_scanned(file) and self.scanner:
            chunks = tracing.streamed("scan", self.scanner.passing(chunks))
        yield from digests.of(chunks)
        real = digests.checksums(utc_now())
        if reason := stored.difference(file.size, expected, digests.size, real):
            raise ContentError(f"delivered {reason}")

    def _is_scanned(self, file: ListedFile) -> bool:
        if file.session:
            return False
        if file.size is not None and file.size > SCANNED_BYTES:
            log.warning("too large for the virus scan", product=file.name, size=file.size)
            return False
        return True

    def _measure(self, connection: Connection, job: IngestionJob, file: ListedFile) -> tuple[int, list[Checksum]]:
        """Size and checksums of the bytes at the station, without storing them."""
        with Digests() as digests:
            for _ in digests.of(self._download(connection, job, file)):
                pass
            return digests.size, digests.checksums(utc_now())

    def _download(self, connection: Connection, job: IngestionJob, file: ListedFile) -> Iterator[bytes]:
        name = job.source_name
        if file.session and file.id.startswith(MADE):
            session = file.session
            text = session_tables.dsib_of(connection, name, session.session_id, session.channel, session.retransfer)
            if text is not None:
                return iter((text.encode(),))
        if time.monotonic() < self._busy_until.get(name, 0):
            raise StationPausedError(f"station {name} is left alone after a failure")
        content = self._sources[name].content(file)
        return self._connected(name, self._throttles[name].of(content) if name in self._throttles else content)

    def _connected(self, station: str, content: Iterator[bytes]) -> Iterator[bytes]:
        """The content, when one of the station's connections is free."""
        free = self._connections[station]
        while not free.acquire(timeout=1):
            self._check_stop(station)
        try:
            self._check_stop(station)
            yield from content
        finally:
            free.release()

    def _check_stop(self, station: str) -> None:
        if self.stop.is_set():
            raise StoppingError(f"the process stops before a connection to {station} is free")

    def _failed(self, connection: Connection, job: IngestionJob, file: ListedFile, error: Exception) -> None:
        """Record the failure: another try later, or quarantine."""
        if isinstance(error, StationBusyError):
            self._busy_until[job.source_name] = time.monotonic() + BUSY_PAUSE_SECONDS
        tracing.running().failed(_reason(error))
        limits = {DifferentContentError: 1, InfectedError: 1, ContentError: CONTENT_ATTEMPTS}
        state = inbox.mark_failed(
            connection,
            job.source_name,
            file.id,
            _reason(error),
            limit=limits.get(type(error), STATION_ATTEMPTS),
            counts=not isinstance(error, StationPausedError | NotOnlineError),
            wait_seconds=ORDER_SECONDS if isinstance(error, NotOnlineError) else 0,
        )
        if state is None:
            raise RejectedError(f"no inbox entry for file {file.id} of {job.source_name}: {error}")
        tell = log.info if isinstance(error, NotOnlineError) else log.error
        tell("file not stored", product=job.product_name, station=job.station_name, state=state, reason=_reason(error))

    def _hand_over(self, row: RowMapping, job: IngestionJob) -> None:
        _, key = split_storage_path(row["storage_path"])
        message = CatalogJob(
            mission_id=row["mission"],
            satellite_id=job.satellite_id,
            key_object_storage=key,
            storage_path=row["storage_path"],
            product_family=row["family"],
            pod_name=pod_name(),
            product_size_byte=row["size"],
            station_name=row["station"],
            checksums=stored.checksums_of(row),
            metadata=job.additional_metadata.get("session") or {},
            additional_fields={"t0PdgsDate": iso(row["publication_date"]), **_session_fields(job)},
            trace=Trace(station_publication=row["publication_date"], seen=row["seen"], stored=row["stored"]),
        )
        self.producer.send(CATALOG_JOB, message, message.key())


def _reason(error: Exception) -> str:
    return f"virus scan found {error}" if isinstance(error, InfectedError) else str(error)


def _session_fields(job: IngestionJob) -> dict[str, Any]:
    """What the downstream CADIP shows of a session's file (reference-system.md §3.1); nothing for other files."""
    values = job.additional_metadata.get("session")
    if not values:
        return {}
    file = SessionFile.model_validate(values)
    orbit = re.search(r"\d{6}$", file.session_id)  # a session's id ends with the orbit of its downlink
    return {
        "sessionId": file.session_id,
        "channel": file.channel,
        "blockNumber": file.block_number,
        "finalBlock": file.final_block,
        "retransfer": file.retransfer,
        "satellite": file.satellite,
        "stationUnitId": file.station_unit,
        "downlinkOrbit": int(orbit.group()) if orbit else 0,
    }


def _is_same_offer(row: RowMapping, job: IngestionJob) -> bool:
    """Whether a stored file came from the very publication that is offered again."""
    return (row["station"], row["publication_date"]) == (job.station_name, job.last_modified)


def _scanner() -> Scanner | None:
    """The virus scan, where the environment of the process says where it is."""
    if "REFSYS_CLAMD_HOST" not in os.environ:
        log.warning("files are not scanned for viruses: REFSYS_CLAMD_HOST is not set")
        return None
    clamd = load(ClamdSettings)
    return Scanner(clamd.host, clamd.port)


def main() -> None:
    """Handle ingestion jobs until asked to stop."""
    stations = load_stations(load(StationsSettings).stations_file).by_name
    database, kafka, s3 = load(DatabaseSettings), load(KafkaSettings), load(S3Settings)
    running = process.start("ingestion-worker")
    files = sum(station.files_at_once for station in stations.values())
    engine = open_database(database, running.name, pool_size=files + 1)
    # Orders have a connection of their own: all others may be held by files that wait for theirs.
    orders = open_database(database, running.name, pool_size=1)
    producer = Producer(kafka, running.name)
    worker = IngestionWorker(
        stations, engine, ObjectStore(s3), producer, DatabaseOrders(orders), _scanner(), running.stop
    )
    run_lanes(lanes(stations, worker.handle, worker.producer, kafka, running), running.stop)
    orders.dispose()
    engine.dispose()
