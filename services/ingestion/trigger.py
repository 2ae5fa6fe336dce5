"""The `ingestion-trigger` process: polls every station and sends a job for each new file.

One thread a station, so that a faulty one never holds the others. The cursor of a station is the greatest
PublicationDate it showed, by its own clock; each poll looks again some seconds behind it (`overlap_seconds`),
because a file can become visible late. Files are entered before the cursor moves.
"""

import threading
from datetime import datetime, timedelta

from prometheus_client import Gauge
from sqlalchemy import Engine

from refsys.services.common import logs, process
from refsys.services.common.bus import Producer
from refsys.services.common.database import open_database
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, StationsSettings, load
from refsys.services.ingestion import inbox
from refsys.services.ingestion.intake import Intake
from refsys.services.ingestion.orders import DatabaseOrders
from refsys.services.ingestion.recalls import Recaller
from refsys.services.ingestion.session import SessionSource
from refsys.services.ingestion.sessions import SessionPoll
from refsys.services.ingestion.sources import open_source
from refsys.services.ingestion.stations import LtaStation, Station, load_stations
from refsys.services.ingestion.stations.odata import ODataStation
from refsys.services.ingestion.stations.sampling import Sampling
from refsys.services.ingestion.stations.tree import TreeStation
from refsys.services.ingestion.tree_sessions import TreeSessions

FAILURE_MAX_SECONDS = 300.0
FAILURE_MAX_POLLS = 12  # a station that is polled often is missed soon when it is back

UP = Gauge("refsys_station_up", "1 if the last poll of the station succeeded", ["station"])

log = logs.get_logger()


class StationPoller:
    """Polls one station."""

    def __init__(self, station: Station, engine: Engine, producer: Producer, sampling: Sampling | None = None) -> None:
        """Nothing is requested before the first poll."""
        self._station = station
        self._source = open_source(station, DatabaseOrders(engine))
        self._engine = engine
        self._intake = Intake(station, sampling or {}, engine, producer)
        self._sessions = SessionPoll(self._intake, engine)
        self._trees = TreeSessions(self._intake, engine) if isinstance(station, TreeStation) else None

    def run(self, stop: threading.Event) -> None:
        """Poll until asked to stop; a failing station is asked less and less often, as `pause` says."""
        wait = 0.0
        failures = 0
        while not stop.wait(wait):
            try:
                self.poll()
            except Exception as error:
                failures += 1
                UP.labels(self._station.name).set(0)
                wait = pause(self._station.poll_seconds, failures)
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
        self._source.close()

    def poll(self) -> int:
        """One poll: everything published since the cursor, and what is due for another try; returns the jobs."""
        jobs = self._intake.send_due()
        with self._engine.connect() as connection:
            cursor = inbox.cursor(connection, self._station.name)
        since = self._station.start(cursor - timedelta(seconds=self._station.overlap_seconds) if cursor else None)
        if isinstance(self._station, LtaStation) and self._station.on_demand:
            return jobs
        if isinstance(self._source, SessionSource):
            return jobs + self._sessions.poll(self._source, since)
        return jobs + self._poll_files(since)

    def _poll_files(self, since: datetime | None) -> int:
        jobs, reached, ordered = 0, since, isinstance(self._station, ODataStation)
        for page in self._source.listed(since):
            dates = [file.publication_date for file in page]
            ordered = ordered and dates == sorted(dates) and (not dates or reached is None or dates[0] >= reached)
            reached = max([*dates, reached] if reached else dates, default=None)
            jobs += self._intake.take(page, cursor=reached if ordered else None)
            if self._trees:
                self._trees.see(page)
        if not ordered and reached:  # trees, or $orderby is ignored: only the whole listing tells how far we are
            with self._engine.begin() as connection:
                inbox.move_cursor(connection, self._station.name, reached)
        if self._trees:
            self._trees.follow(self._source)
        return jobs


def pause(poll_seconds: float, failures: int) -> float:
    """Seconds to wait after so many failed polls in a row: twice as long each time, up to twelve polls or 5 minutes."""
    return min(poll_seconds * 2.0 ** min(failures, 16), poll_seconds * FAILURE_MAX_POLLS, FAILURE_MAX_SECONDS)


def main() -> None:
    """Poll all stations until asked to stop."""
    config = load_stations(load(StationsSettings).stations_file)
    database, kafka = load(DatabaseSettings), load(KafkaSettings)
    running = process.start("ingestion-trigger")
    engine = open_database(database, running.name, pool_size=len(config.stations) + 2)
    producer = Producer(kafka, running.name)
    pollers = {station.name: StationPoller(station, engine, producer, config.sampling) for station in config.stations}
    threads = [threading.Thread(target=poller.run, args=(running.stop,), name=name) for name, poller in pollers.items()]
    recaller = Recaller(config.stations, engine, producer)
    threads.append(threading.Thread(target=recaller.run, args=(running.stop,), name="recalls"))
    for thread in threads:
        thread.start()
    running.health.ready()
    while not running.stop.wait(5):
        if all(thread.is_alive() for thread in threads):
            running.health.beat()
    for thread in threads:
        thread.join()
    engine.dispose()
