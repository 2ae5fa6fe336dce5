"""The `ingestion-trigger` process: polls every station and sends a job for each new file.

One thread a station, so that a faulty one never holds the others. The cursor of a station is the greatest
PublicationDate it showed, by its own clock; each poll looks again some seconds behind it (`overlap_seconds`),
because a product can become visible late. Jobs are sent and acknowledged before the cursor moves.
"""

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Counter, Gauge
from sqlalchemy import Engine, RowMapping

from refsys.services.common import logs, process
from refsys.services.common.bus import Producer
from refsys.services.common.database import open_database
from refsys.services.common.families import Family, storage_path
from refsys.services.common.messages import INGESTION_JOB, IngestionJob, Trace, iso, utc_now
from refsys.services.common.names import InvalidNameError, parse_name, shown
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, StationsSettings, load
from refsys.services.ingestion import inbox
from refsys.services.ingestion.auxip import AuxipClient, ListedProduct
from refsys.services.ingestion.stations import Inbox, Station, load_stations

RETRIES_PER_POLL = 500
FAILURE_MAX_SECONDS = 300.0

SEEN = Counter("refsys_station_files_total", "Files seen at a station, by outcome", ["station", "outcome"])
UP = Gauge("refsys_station_up", "1 if the last poll of the station succeeded", ["station"])

log = logs.get_logger()


class StationPoller:
    """Polls one station."""

    def __init__(self, station: Station, engine: Engine, producer: Producer) -> None:
        """Nothing is requested before the first poll."""
        self._station = station
        self._client = AuxipClient(station)
        self._engine = engine
        self._producer = producer

    def run(self, stop: threading.Event) -> None:
        """Poll until asked to stop; a failing station is asked less and less often, up to five minutes."""
        wait = 0.0
        failures = 0
        while not stop.wait(wait):
            try:
                self.poll()
            except Exception as error:
                failures += 1
                UP.labels(self._station.name).set(0)
                wait = min(self._station.poll_seconds * 2 ** min(failures, 16), FAILURE_MAX_SECONDS)
                log.error(
                    "poll failed",
                    station=self._station.name,
                    reason=f"{type(error).__name__}: {error}",
                    next_poll_seconds=wait,
                )
            else:
                failures = 0
                UP.labels(self._station.name).set(1)
                wait = self._station.poll_seconds
        self._client.close()

    def poll(self) -> int:
        """One poll: everything published since the cursor, and what is due for another try; returns the jobs."""
        jobs = self._send_due()
        with self._engine.connect() as connection:
            cursor = inbox.cursor(connection, self._station.name)
        since = cursor - timedelta(seconds=self._station.overlap_seconds) if cursor else None
        reached = since
        ordered = True
        for page in self._client.published_since(since):
            dates = [product.publication_date for product in page]
            ordered = ordered and dates == sorted(dates) and (not dates or reached is None or dates[0] >= reached)
            reached = max([*dates, reached] if reached else dates, default=None)
            jobs += self._take(page, reached if ordered else None)
        if not ordered and reached:  # the station ignores $orderby: only the whole listing tells how far we are
            with self._engine.begin() as connection:
                inbox.move_cursor(connection, self._station.name, reached)
        return jobs

    def _take(self, page: list[ListedProduct], cursor: datetime | None) -> int:
        station, seen = self._station, utc_now()
        with self._engine.connect() as connection:
            new = inbox.unknown(connection, station.name, page)
        taken: list[tuple[ListedProduct, Inbox]] = []
        refused: list[tuple[ListedProduct, str]] = []
        for product in new:
            try:
                parse_name(product.name)
            except InvalidNameError as error:
                refused.append((product, str(error)))
                continue
            if rule := station.inbox_of(product.name):
                taken.append((product, rule))
        for product, rule in taken:
            self._send(_job(station, product, rule, seen))
        if taken:
            self._producer.flush()
        with self._engine.begin() as connection:
            inbox.add_queued(connection, station, taken, seen)
            for product, reason in refused:
                inbox.add_refused(connection, station.name, product, reason, seen)
                log.error("file refused", station=station.name, product=shown(product.name), reason=reason)
            if cursor:
                inbox.move_cursor(connection, station.name, cursor)
        SEEN.labels(station.name, "queued").inc(len(taken))
        SEEN.labels(station.name, "refused").inc(len(refused))
        if taken:
            log.info("files seen", station=station.name, count=len(taken))
        return len(taken)

    def _send_due(self) -> int:
        """Send the jobs of files whose time for another try has come."""
        with self._engine.connect() as connection:
            entries = inbox.due(connection, self._station.name, RETRIES_PER_POLL)
        if not entries:
            return 0
        for entry in entries:
            self._send(_make_job(self._station, entry))
        self._producer.flush()
        with self._engine.begin() as connection:
            inbox.queue_again(connection, [entry["id"] for entry in entries])
        SEEN.labels(self._station.name, "retried").inc(len(entries))
        return len(entries)

    def _send(self, job: IngestionJob) -> None:
        self._producer.send(INGESTION_JOB, job, job.key())


def _job(station: Station, product: ListedProduct, rule: Inbox, seen: datetime) -> IngestionJob:
    return _make_job(
        station,
        {
            "product_id": product.id,
            "name": product.name,
            "size": product.content_length,
            "checksums": product.checksums(),
            "publication_date": product.publication_date,
            "family": rule.family,
            "mission": rule.mission,
            "seen": seen,
            "attempts": 0,
        },
    )


def _make_job(station: Station, entry: Mapping[str, Any] | RowMapping) -> IngestionJob:
    """The job of an inbox entry."""
    name, family = entry["name"], Family(entry["family"])
    return IngestionJob(
        mission_id=entry["mission"],
        satellite_id=parse_name(name).satellite_id,
        key_object_storage=name,
        storage_path=storage_path(family, name),
        product_family=family,
        pod_name=process.pod_name(),
        retry_counter=entry["attempts"],
        pickup_base_url=str(station.url),
        relative_path=f"Products({entry['product_id']})/$value",
        product_name=name,
        product_size_byte=entry["size"],
        station_name=station.name,
        last_modified=entry["publication_date"],
        additional_metadata={"productId": entry["product_id"]},
        additional_fields={"t0PdgsDate": iso(entry["publication_date"])},
        checksums=entry["checksums"],
        trace=Trace(station_publication=entry["publication_date"], seen=entry["seen"]),
    )


def main() -> None:
    """Poll all stations until asked to stop."""
    stations = load_stations(load(StationsSettings).stations_file)
    database, kafka = load(DatabaseSettings), load(KafkaSettings)
    running = process.start("ingestion-trigger")
    engine = open_database(database, running.name, pool_size=len(stations) + 1)
    producer = Producer(kafka, running.name)
    threads = [
        threading.Thread(target=StationPoller(station, engine, producer).run, args=(running.stop,), name=station.name)
        for station in stations.values()
    ]
    for thread in threads:
        thread.start()
    running.health.ready()
    while not running.stop.wait(5):
        if all(thread.is_alive() for thread in threads):
            running.health.beat()
    for thread in threads:
        thread.join()
    engine.dispose()
