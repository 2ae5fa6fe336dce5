"""A run: compare everything, confirm what disagrees, repair it if asked to, report.

A run that a kill ended starts from its beginning again: comparing changes nothing and every repair may be repeated.
One run at a time, by a lock in the database.
"""

import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from prometheus_client import Gauge
from sqlalchemy import Engine, RowMapping, delete, func, insert, or_, select, text, update

from refsys.services.common import logs
from refsys.services.common.bus import UNAVAILABLE, Producer
from refsys.services.common.database import exclusive
from refsys.services.common.messages import iso, utc_now
from refsys.services.common.store import ObjectStore
from refsys.services.reconciliation.compare import Kind, State, classify, detail, together
from refsys.services.reconciliation.places import SNAPSHOT, Places
from refsys.services.reconciliation.repair import Repairer
from refsys.services.reconciliation.tables import DONE, FAILED, REQUESTED, RUNNING, finding, orphan, run

LOCK = "refsys reconciliation"
PERIOD_SECONDS = 5.0
BATCH = 100
EXAMPLES = 20
RUNS_KEPT = timedelta(days=90)

FOUND = Gauge("refsys_reconciliation_findings", "Disagreements of the last run, by kind", ["kind"])

log = logs.get_logger()


@dataclass
class Tally:
    """What a run has seen so far; `examples` are bounded, all findings lie in the database."""

    objects: int = 0
    catalogued: int = 0
    published: int = 0
    found: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    actions: dict[Kind, dict[str, int]] = field(default_factory=lambda: {kind: {} for kind in Kind})
    examples: dict[Kind, list[dict[str, str]]] = field(default_factory=lambda: {kind: [] for kind in Kind})

    def see(self, state: State) -> None:
        """Count one key."""
        self.objects += state.object_size is not None
        self.catalogued += state.catalogue_size is not None
        self.published += state.published_size is not None

    def add(self, row: dict[str, Any]) -> None:
        """Count one finding."""
        kind, action = Kind(row["kind"]), row["action"].partition(",")[0]
        self.found[kind] += 1
        if action:
            self.actions[kind][action] = self.actions[kind].get(action, 0) + 1
        if len(self.examples[kind]) < EXAMPLES:
            self.examples[kind].append({name: row[name] for name in ("bucket", "key", "detail", "action")})


def request(engine: Engine, *, repair: bool, delete_orphans: bool, operator: str = "") -> UUID:
    """Enter a run to be carried out; returns its identifier."""
    identifier = uuid4()
    values = {"id": identifier, "repair": repair, "delete_orphans": delete_orphans, "operator_name": operator}
    with engine.begin() as connection:
        connection.execute(insert(run).values(**values, state=REQUESTED))
    return identifier


class Reconciler:
    """Carries out runs."""

    def __init__(self, engine: Engine, store: ObjectStore, producer: Producer, settle_seconds: float) -> None:
        """Leave alone what changed less than `settle_seconds` ago: it is on its way through the chain."""
        self._engine = engine
        self._store = store
        self._producer = producer
        self._settle = timedelta(seconds=settle_seconds)
        self._places = Places(engine, store)

    def serve(self, stop: threading.Event, period: float = PERIOD_SECONDS) -> None:
        """Carry out the runs that operators request, until asked to stop."""
        while not stop.wait(period):
            try:
                self.carry_out_requested(stop)
            except UNAVAILABLE as error:
                log.warning("reconciliation waits", reason=f"{type(error).__name__}: {error}")

    def carry_out_requested(self, stop: threading.Event | None = None) -> list[UUID]:
        """Carry out what is requested, and what a kill interrupted; returns the runs."""
        carried: list[UUID] = []
        if not self._waiting():
            return carried
        with exclusive(self._engine, LOCK):
            while (row := self._waiting()) and not (stop and stop.is_set()):
                self._carry_out(row, stop)
                carried.append(row["id"])
        return carried

    def _waiting(self) -> RowMapping | None:
        # Under the lock a RUNNING run is one whose process is gone.
        statement = select(run).where(or_(run.c.state == REQUESTED, run.c.state == RUNNING)).order_by(run.c.requested)
        with self._engine.connect() as connection:
            return connection.execute(statement.limit(1)).mappings().first()

    def _carry_out(self, row: RowMapping, stop: threading.Event | None) -> None:
        identifier = row["id"]
        with self._engine.begin() as connection:
            connection.execute(delete(finding).where(finding.c.run_id == identifier))
            old = delete(run).where(run.c.finished < func.now() - RUNS_KEPT)
            connection.execute(old)
            begin = update(run).where(run.c.id == identifier).values(state=RUNNING, started=func.now())
            started: datetime = connection.execute(begin.returning(run.c.started)).scalar_one()
        try:
            tally = self._compare(row, stop)
        except Exception as error:
            if stop and stop.is_set():
                return
            reason = f"{type(error).__name__}: {error}"
            log.error("reconciliation failed", run=str(identifier), reason=reason)
            self._end(identifier, FAILED, reason=reason[:2000])
            return
        if tally is None:  # asked to stop: the next process does it
            return
        for kind, count in tally.found.items():
            FOUND.labels(kind).set(count)
        self._end(identifier, DONE, report=_report(row, started, tally))
        log.info("reconciliation done", run=str(identifier), findings=sum(tally.found.values()))

    def _end(self, identifier: UUID, state: str, **values: Any) -> None:
        with self._engine.begin() as connection:
            statement = update(run).where(run.c.id == identifier)
            connection.execute(statement.values(state=state, finished=func.now(), **values))

    def _compare(self, row: RowMapping, stop: threading.Event | None) -> Tally | None:
        tally, number = Tally(), 0
        repairer = (
            Repairer(self._engine, self._store, self._producer, row["id"], delete_orphans=row["delete_orphans"])
            if row["repair"]
            else None
        )
        rows: list[dict[str, Any]] = []
        with closing(self._disagreements(tally)) as found:
            for bucket, kind, state in found:
                if stop and stop.is_set():
                    return None
                number += 1
                action = repairer.repair(kind, bucket, state) if repairer else ""
                place = {"kind": str(kind), "bucket": bucket, "key": state.key}
                rows.append({"run_id": row["id"], "number": number, **place, "detail": detail(state), "action": action})
                if len(rows) == BATCH:
                    self._keep(rows, tally)
                    rows = []
        self._keep(rows, tally)
        if row["repair"]:
            self._forget_orphans(row["id"])
        return tally

    def _keep(self, rows: list[dict[str, Any]], tally: Tally) -> None:
        if not rows:
            return
        self._producer.flush()
        with self._engine.begin() as connection:
            connection.execute(insert(finding), rows)
        for row in rows:
            tally.add(row)

    def _disagreements(self, tally: Tally) -> Generator[tuple[str, Kind, State], None, None]:
        """What disagrees, and still does when asked again."""
        settled = utc_now() - self._settle
        for bucket in self._places.buckets():
            with self._engine.connect().execution_options(isolation_level=SNAPSHOT) as connection:
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                listings = (
                    self._places.objects(bucket),
                    self._places.catalogued(connection, bucket),
                    self._places.published(connection, bucket),
                )
                for state in together(*listings):
                    tally.see(state)
                    if classify(state) is None or (state.changed and state.changed > settled):
                        continue
                    confirmed = self._places.now(bucket, state.key)
                    kind = classify(confirmed) if confirmed else None
                    if confirmed and kind and not (confirmed.changed and confirmed.changed > settled):
                        yield bucket, kind, confirmed

    def _forget_orphans(self, identifier: UUID) -> None:
        """Objects that this run did not find again as orphans are none any more."""
        started = select(run.c.started).where(run.c.id == identifier).scalar_subquery()
        with self._engine.begin() as connection:
            connection.execute(delete(orphan).where(orphan.c.last_seen < started))


def _report(row: RowMapping, started: datetime, tally: Tally) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "operatorName": row["operator_name"],
        "started": iso(started),
        "finished": iso(utc_now()),
        "repair": row["repair"],
        "deleteOrphans": row["delete_orphans"],
        "objects": tally.objects,
        "catalogued": tally.catalogued,
        "published": tally.published,
        "findings": {
            str(kind): {
                "count": tally.found[kind],
                "actions": tally.actions[kind],
                "examples": tally.examples[kind],
            }
            for kind in Kind
        },
    }
