"""What is done when its time has come: jobs that are due are looked at, and orders that are made are sent.

It sleeps until the next job is due or PostgreSQL notifies it; the time is PostgreSQL's, so that all processes go by
one clock.
"""

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
from prometheus_client import Gauge
from pydantic import ValidationError
from sqlalchemy import Engine, RowMapping

from refsys.services.common import logs
from refsys.services.common.bus import UNAVAILABLE, Producer
from refsys.services.common.database import RECYCLE_SECONDS, autocommit
from refsys.services.common.messages import EXECUTION_JOB
from refsys.services.common.process import Process
from refsys.services.preparation import ledger
from refsys.services.preparation.preparation import Preparation
from refsys.services.production.order import Order
from refsys.services.production.states import Outcome, State
from refsys.services.production.tables import CHANNEL

BATCH = 100
RETRY_SECONDS = 3.0
STOPPABLE_SECONDS = 1.0

JOBS = Gauge("refsys_production_jobs", "Production jobs that have not ended", ["mission", "state", "timeliness"])
OVERDUE = Gauge(
    "refsys_production_overdue_seconds", "Seconds since a waiting job should have been looked at", ["mission"]
)

log = logs.get_logger()


class Clock:
    """Looks at due jobs and sends orders, by itself."""

    def __init__(
        self, engine: Engine, preparation: Preparation, producer: Producer, reload: Callable[[], None]
    ) -> None:
        """`reload` reads the chains anew, if others were added; nobody else sends with this producer."""
        self._engine, self._preparation, self._producer, self._reload = engine, preparation, producer, reload
        self._stop = threading.Event()

    def run(self, process: Process) -> None:
        """Work until the process is asked to stop."""
        self._stop = process.stop
        while not process.stop.is_set():
            try:
                with autocommit(self._engine) as connection:
                    driver: Any = connection.connection.driver_connection
                    connection.exec_driver_sql(f"LISTEN {CHANNEL}")
                    try:
                        self._serve(driver, process)
                    finally:
                        connection.invalidate()  # nobody else shall get the notifications
            except (*UNAVAILABLE, psycopg.OperationalError) as error:
                process.health.not_ready(f"{type(error).__name__}: {error}")
                log.warning("due jobs wait", reason=f"{type(error).__name__}: {error}"[:500])
                process.stop.wait(RETRY_SECONDS)

    def _serve(self, driver: "psycopg.Connection[Any]", process: Process) -> None:
        with self._engine.begin() as connection:
            ledger.forget_old(connection)
        end, longest = time.monotonic() + RECYCLE_SECONDS, ledger.LONGEST_SLEEP.total_seconds()
        while not process.stop.is_set() and time.monotonic() < end:
            self.round()
            process.health.beat()
            with autocommit(self._engine) as connection:
                seconds = ledger.seconds_to_next(connection)
            pause = longest if seconds is None else min(max(seconds, 0.0), longest)
            if pause:
                _sleep(driver, pause, process.stop)

    def round(self) -> None:
        """Do all that can be done now."""
        self._reload()
        while self._look() + self._send() >= BATCH and not self._stop.is_set():
            pass
        self._measure()

    def _look(self) -> int:
        with autocommit(self._engine) as connection:
            jobs = ledger.due(connection, BATCH)
        for job in jobs:
            self._look_at(job)
        return len(jobs)

    def _look_at(self, job: UUID) -> None:
        """Look at one; what is wrong with it does not hold up the others."""
        try:
            self._preparation.examine(job, self._preparation.hints.pop(job, None))
        except UNAVAILABLE:
            raise
        except Exception as error:
            reason = f"could not be looked at: {type(error).__name__}: {error}"
            log.exception("job can't be looked at", job=str(job))
            with self._engine.begin() as connection:
                ledger.try_again(connection, job, reason)

    def _send(self) -> int:
        """Send orders; who is killed before it is noted sends them again, which changes nothing for who takes them."""
        with autocommit(self._engine) as connection:
            rows = ledger.to_send(connection, BATCH)
        if not rows:
            return 0
        orders = [order for row in rows if (order := self._order_of(row))]
        for order in orders:
            # What follows is in the trace of the product that made the job.
            headers = {"traceparent": order.traceparent} if order.traceparent else None
            self._producer.send(EXECUTION_JOB, order, order.key(), headers)
        self._producer.flush()
        if not orders:
            return len(rows)
        with self._engine.begin() as connection:
            ledger.sent(connection, [(order.job_id, order.attempt) for order in orders])
        return len(rows)

    def _order_of(self, row: RowMapping) -> Order | None:
        """The order of a job; one that this version can't read ends it."""
        try:
            return Order.model_validate(row["order"])
        except ValidationError as error:
            reason = f"its order can't be read: {error.error_count()} fields, the first {error.errors()[0]['loc']}"
            log.error("job ended", job=str(row["id"]), reason=reason)
            with self._engine.begin() as connection:
                ledger.end(connection, row["id"], Outcome.NOK, f"{reason}: restart the job", [State.DISPATCHING])
            return None

    def _measure(self) -> None:
        with autocommit(self._engine) as connection:
            counts, overdue = ledger.counts(connection), ledger.overdue_seconds(connection)
        JOBS.clear()
        for state, mission, timeliness, number in counts:
            JOBS.labels(mission, state, timeliness).set(number)
        OVERDUE.clear()
        for mission, seconds in overdue.items():
            OVERDUE.labels(mission).set(seconds)


def _sleep(driver: "psycopg.Connection[Any]", seconds: float, stop: threading.Event) -> None:
    """Until notified, or so long."""
    end = time.monotonic() + seconds
    while not stop.is_set() and (left := end - time.monotonic()) > 0:
        for _ in driver.notifies(timeout=min(left, STOPPABLE_SECONDS), stop_after=1):
            return
