"""Recalls of offline products: each is looked for in the long-term archives and comes in as any other file.

What is ordered on the PRIP becomes an inbox entry of the archive that has it; the worker orders it there and fetches it
when it is online. The order completes when the product is back (`refsys.services.lifecycle.returned`).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import Counter
from sqlalchemy import Engine, RowMapping, and_, select

from refsys.services.common import logs
from refsys.services.common.bus import Producer
from refsys.services.common.families import storage_path, storage_path_in
from refsys.services.common.messages import utc_now
from refsys.services.distribution.delivery import recalls
from refsys.services.distribution.delivery.model import recall
from refsys.services.ingestion import inbox
from refsys.services.ingestion.errors import StationError
from refsys.services.ingestion.intake import Intake
from refsys.services.ingestion.orders import DatabaseOrders
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.lta import LtaSource
from refsys.services.ingestion.stations import LtaStation, Station
from refsys.services.ingestion.tables import QUARANTINED, InboxEntry

PERIOD_SECONDS = 5.0
LEASE = timedelta(minutes=10)  # until an archive that did not answer is asked again
UNREACHABLE = timedelta(days=1)  # an order does not wait longer for archives that do not answer

RECALLED = Counter("refsys_recalls_total", "Recalls of offline products, by outcome", ["outcome"])

log = logs.get_logger()


@dataclass(frozen=True)
class Archive:
    """A long-term archive, and what takes its files."""

    station: LtaStation
    source: LtaSource
    intake: Intake

    def find(self, row: RowMapping) -> ListedFile | str:
        """The file that a recall asks for, or why the archive is of no use for it; raises `StationError`."""
        name = row["product_name"]
        file = self.source.named(name)
        if file is None:
            return f"{self.station.name} does not have it"
        rule = self.station.inbox_of(file)
        if rule is None:
            return f"no inbox of {self.station.name} takes it"
        wanted = storage_path_in(row["bucket"], row["object_key"])
        if storage_path(rule.family_of(file), name) != wanted:
            return f"from {self.station.name} it would come in as {rule.family_of(file)}, not to where it was"
        return file


class Recaller:
    """Serves recalls from all long-term archives of the stations file."""

    def __init__(self, stations: Sequence[Station], engine: Engine, producer: Producer) -> None:
        """Nothing is requested before the first round."""
        orders = DatabaseOrders(engine)
        self._engine = engine
        self._archives = [
            Archive(station, LtaSource(station, orders), Intake(station, {}, engine, producer))
            for station in stations
            if isinstance(station, LtaStation)
        ]

    def run(self, stop: threading.Event) -> None:
        """Make a round every few seconds until asked to stop."""
        while not stop.wait(PERIOD_SECONDS):
            try:
                self.round()
            except Exception as error:
                log.error("recalls wait", reason=f"{type(error).__name__}: {error}")
        for archive in self._archives:
            archive.source.close()

    def round(self) -> None:
        """Ask the archives for what was ordered, and end the recalls of files that could not be taken."""
        self._end_quarantined()
        while (row := recalls.claim(self._engine, LEASE)) is not None:
            self._serve(row)

    def _serve(self, row: RowMapping) -> None:
        reasons, silent = [], False
        for archive in self._archives:
            try:
                found = archive.find(row)
            except StationError as error:
                silent = True
                reasons.append(str(error))
                continue
            if isinstance(found, ListedFile):
                self._ask(archive, row, found)
                return
            reasons.append(found)
        reason = "; ".join(reasons) or "no long-term archive is configured"
        if silent and utc_now() - row["requested"] < UNREACHABLE:
            log.warning("recall waits for an archive", product=row["product_name"], reason=reason)
            return
        self._fail(row, f"the product cannot be brought back: {reason}")

    def _ask(self, archive: Archive, row: RowMapping, file: ListedFile) -> None:
        station = archive.station.name
        with self._engine.begin() as connection:
            inbox.ask_again(connection, station, file.id)
        archive.intake.take([file])
        recalls.assign(self._engine, row["id"], station, file.id)
        RECALLED.labels("asked").inc()
        log.info("recall asked for", product=row["product_name"], station=station)

    def _end_quarantined(self) -> None:
        same = and_(InboxEntry.station == recall.c.station, InboxEntry.product_id == recall.c.source_id)
        ended = (
            select(recall.c.id, recall.c.product_name, InboxEntry.reason)
            .join(InboxEntry, same)
            .where(recall.c.state == "in_progress", InboxEntry.state == QUARANTINED)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(ended).mappings().all()
        for row in rows:
            self._fail(row, f"the product cannot be brought back: {row['reason']}")

    def _fail(self, row: RowMapping, reason: str) -> None:
        if recalls.fail(self._engine, row["id"], reason):
            RECALLED.labels("failed").inc()
            log.warning("recall failed", product=row["product_name"], reason=reason)
