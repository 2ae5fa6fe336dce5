"""The `router` process: sends files from external sources to external targets, by rules, with rclone.

Each version of a file is sent once. It is delivered when the target's checksum is the source's; until then it is
tried again, with pauses that double, until its attempts or its deadline are over. Killed at any moment, the router
finds in the ledger what was on its way, and first compares what is there.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from prometheus_client import Counter
from sqlalchemy import Connection, Engine, RowMapping
from sqlalchemy.exc import DBAPIError

from refsys.services.common import logs, process
from refsys.services.common.database import exclusive, open_database
from refsys.services.common.messages import utc_now
from refsys.services.common.operations import Health
from refsys.services.common.rclone import Rclone, RcloneError
from refsys.services.common.settings import DatabaseSettings, RoutingSettings, load
from refsys.services.routing import ledger, remotes
from refsys.services.routing.rules import Routing, Rule, load_routing

BATCH = 50
REGISTER_BATCH = 500
PAUSE = timedelta(seconds=30)
WAIT_SECONDS = 5.0

TRANSFERS = Counter("refsys_routing_transfers_total", "Transfers, by rule and outcome", ["rule", "outcome"])
BYTES = Counter("refsys_routing_bytes_total", "Bytes delivered, by rule", ["rule"])

log = logs.get_logger()


@dataclass(frozen=True)
class Router:
    """Follows the rules of one routing file; `pause` is that before the second attempt."""

    routing: Routing
    engine: Engine
    stop: threading.Event
    health: Health
    pause: timedelta = PAUSE

    def run(self) -> None:
        """Follow all rules, each in a thread of its own, until asked to stop."""
        with ThreadPoolExecutor(max(1, len(self.routing.rules)), thread_name_prefix="rule") as pool:
            following = [pool.submit(self._follow, rule) for rule in self.routing.rules]
            while not self.stop.wait(1):
                self.health.ready()
            for each in following:
                each.result()

    def _follow(self, rule: Rule) -> None:
        listing = rule.next_after(utc_now())
        while not self.stop.wait(min(WAIT_SECONDS, max(0.1, (listing - utc_now()).total_seconds()))):
            due = listing <= utc_now()
            try:
                with exclusive(self.engine, f"routing {rule.name}") as connection:
                    if due:
                        self.list(connection, rule)
                    self.send(connection, rule)
            except RcloneError as error:
                log.warning("source is not listed", rule=rule.name, source=rule.source, error=str(error))
            except DBAPIError as error:
                log.warning("database does not answer", rule=rule.name, error=str(error.orig))
                continue
            except Exception as error:  # one rule must not end the others
                log.error("rule failed, it goes on", rule=rule.name, error=f"{type(error).__name__}: {error}")
            if due:
                listing = rule.next_after(utc_now())

    def list(self, connection: Connection, rule: Rule) -> None:
        """Record what is new at the source; raises `RcloneError`."""
        found = remotes.entries(self._rclone(), rule)
        seen = new = 0
        while batch := list(islice(found, REGISTER_BATCH)):
            seen += len(batch)
            new += ledger.register(connection, rule, batch)
        log.info("source listed", rule=rule.name, source=rule.source, files=seen, new=new)

    def send(self, connection: Connection, rule: Rule) -> None:
        """Send what is due, batch by batch, until nothing is."""
        while not self.stop.is_set() and (rows := ledger.take(connection, rule, BATCH)):
            self._send_batch(connection, rule, rows)

    def _send_batch(self, connection: Connection, rule: Rule, rows: Sequence[RowMapping]) -> None:
        rclone, seconds = self._rclone(), self._seconds(rule, rows)
        by_path = {str(row["path"]): row for row in rows}
        # What was begun before may have arrived.
        begun = [path for path, row in by_path.items() if row["attempts"] > 1]
        arrived = _same(rclone, rule, rule.target, begun, seconds)
        left = [path for path in by_path if path not in arrived]
        sent, reasons = self._copy(rclone, rule, left, seconds)
        if self.stop.is_set() and len(arrived) + len(sent) < len(by_path):
            return  # the commands were ended; the next router goes on
        arrived |= sent
        ledger.delivered(connection, {int(by_path[path]["id"]): value for path, value in arrived.items()})
        for path, row in by_path.items():
            if path not in arrived:
                self._failed(connection, rule, row, reasons.get(path) or reasons.get("", "not at the target"))
        for path in arrived:
            TRANSFERS.labels(rule.name, "done").inc()
            BYTES.labels(rule.name).inc(by_path[path]["size"])
            log.info("file delivered", rule=rule.name, path=path, size=by_path[path]["size"], md5=arrived[path])
        if rule.delete_source and arrived:
            _delete_source(rclone, rule, {path: by_path[path] for path in arrived}, seconds)

    def _copy(
        self, rclone: Rclone, rule: Rule, paths: Sequence[str], seconds: float
    ) -> tuple[dict[str, str], Mapping[str, str]]:
        """Checksums of the files that are delivered, and reasons for others; both by path."""
        if not paths:
            return {}, {}
        direct = self.routing.type_of(rule.target) in remotes.ATOMIC
        place = rule.target if direct else remotes.inside(rule.target, remotes.INCOMING)
        reasons = remotes.copy(rclone, rule, place, paths, seconds)
        good = _same(rclone, rule, place, [path for path in paths if path not in reasons], seconds)
        reasons = {"": "checksums of source and target differ, or can't be had"} | reasons
        for path in [] if direct else list(good):
            try:
                remotes.rename(rclone, place, rule.target, path, seconds)
            except RcloneError as error:
                del good[path]
                reasons[path] = str(error)
        return good, reasons

    def _failed(self, connection: Connection, rule: Rule, row: RowMapping, reason: str) -> None:
        again = ledger.failed(connection, rule, row, reason, self.pause)
        TRANSFERS.labels(rule.name, "retry" if again else "failed").inc()
        level = log.warning if again else log.error
        level("file not delivered", rule=rule.name, path=row["path"], attempt=row["attempts"], reason=reason)

    def _seconds(self, rule: Rule, rows: Sequence[RowMapping]) -> float:
        """Seconds until the deadline of the last of the transfers."""
        seen: datetime = max(row["seen"] for row in rows)
        return max(1.0, (seen + timedelta(seconds=rule.deadline_seconds) - utc_now()).total_seconds())

    def _rclone(self) -> Rclone:
        return Rclone(self.routing.remotes, self.routing.ca_file, self.stop)


def _same(rclone: Rclone, rule: Rule, place: str, paths: Sequence[str], seconds: float) -> dict[str, str]:
    """Checksums of the files that are the same at the source and at a place, by path."""
    if not paths:
        return {}
    there = remotes.checksums(rclone, place, paths, seconds)
    source = remotes.checksums(rclone, rule.source, list(there), seconds) if there else {}
    return {path: value for path, value in there.items() if source.get(path) == value}


def _delete_source(rclone: Rclone, rule: Rule, rows: Mapping[str, RowMapping], seconds: float) -> None:
    """Delete delivered files at the source, but for those that have changed there meanwhile."""
    versions = {path: (row["size"], row["modified"]) for path, row in rows.items()}
    try:
        if same := remotes.same_still(rclone, rule, versions):
            remotes.delete(rclone, rule.source, same, seconds)
    except RcloneError as error:  # they stay at the source, and are not sent again
        log.warning("delivered files are not deleted at the source", rule=rule.name, error=str(error))


def main() -> None:
    """Route until the process is asked to stop."""
    routing = load_routing(load(RoutingSettings).routing_file)
    running = process.start("router")
    engine = open_database(load(DatabaseSettings), running.name, pool_size=max(1, len(routing.rules)))
    Router(routing, engine, running.stop, running.health).run()
    engine.dispose()
