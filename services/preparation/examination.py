"""Looking at a job whose row is locked: it goes on, waits or ends."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from prometheus_client import Counter, Histogram
from sqlalchemy import Connection, RowMapping, select

from refsys.services.catalogue.tables import Product
from refsys.services.common import logs
from refsys.services.preparation import ledger
from refsys.services.preparation.coverage import MaskError, Masks
from refsys.services.preparation.facts import Facts
from refsys.services.preparation.finding import Settled, Waiting, settle
from refsys.services.preparation.generator import most_urgent, order_of
from refsys.services.preparation.needs import Need, Period, Subject, give_up_at, needs_of, open_rows, shown
from refsys.services.production.chains import ByDataTake
from refsys.services.production.shelf import Place
from refsys.services.production.states import Outcome, State, priority_of
from refsys.services.production.tables import REASON_LIMIT

ORDER_LIMIT_BYTES = 900_000  # Kafka takes messages up to 1 MB

PREPARED = Counter(
    "refsys_production_jobs_prepared_total",
    "Production jobs that wait no longer: READY, or how they ended",
    ["mission", "chain", "outcome"],
)
WAITED = Histogram(
    "refsys_production_wait_seconds",
    "Seconds that jobs waited for their inputs",
    ["mission", "timeliness"],
    buckets=(1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 57600, 86400, 172800),
)

log = logs.get_logger()


class Examination:
    """One look at one job, whose row is locked."""

    def __init__(self, connection: Connection, row: RowMapping, place: Place, masks: Masks) -> None:
        """`row` is the job's, with the time `now`."""
        self._connection, self._row, self._place, self._masks = connection, row, place, masks
        self._now: datetime = row["now"]
        self._id: UUID = row["id"]
        period = Period(row["start_time"], row["stop_time"])
        facts = Facts.model_validate(row["facts"])
        self._subject = Subject(row["satellite"], row["timeliness"], period, row["since"], facts)
        self._needs = needs_of(place.table, self._subject)
        self._give_up = give_up_at(place.table, self._subject)

    def run(self, inputs: Sequence[int] | None) -> bool:
        """Look; False if it has to be looked at once more, by somebody who sees what is committed now."""
        if inputs is not None and self._still_waits(inputs):
            return True
        results = [self._settle(need) for need in self._needs]
        if isinstance(self._place.table.trigger, ByDataTake) and self._grew(results[0].products):
            return False
        waiting = [each for each in results if isinstance(each, Waiting)]
        if not waiting:
            self._go_on([each for each in results if isinstance(each, Settled)])
            return True
        if self._now >= self._give_up:
            self._time_out(waiting)
            return True
        return self._wait(waiting)

    def _settle(self, need: Need) -> Settled | Waiting:
        return settle(self._connection, self._subject, need, self._now, self._give_up)

    def _still_waits(self, inputs: Sequence[int]) -> bool:
        """Whether the job waits for others, or for these still. What came is no longer waited for."""
        known = self._row["waits_for"]
        is_segment = isinstance(self._place.table.trigger, ByDataTake) and 0 in inputs
        if not known or is_segment or self._now >= self._give_up:
            return False
        results = [self._settle(self._needs[number]) for number in inputs if number < len(self._needs)]
        came = {each.need.number: each.need.name for each in results if isinstance(each, Settled)}
        told = {each.need.name: _told(each) for each in results if isinstance(each, Waiting)}
        left = [told.get(each["input"], each) for each in known if each["input"] not in came.values()]
        if not left:
            return False
        if left == known and self._row["due"] > self._now:
            return True
        ledger.close(self._connection, self._id, came)
        due = min(datetime.fromisoformat(each["until"]) for each in left)
        ledger.wait(self._connection, self._id, {"waits_for": left, "reason": _reason(left), "due": due})
        return True

    def _grew(self, rows: Sequence[RowMapping]) -> bool:
        """Whether the data take is longer, or more urgent, than was known: then what else is needed is other."""
        if not rows:
            return False
        start, stop = min(row["content_start"] for row in rows), max(row["content_end"] for row in rows)
        timeliness = self._row["timeliness"]
        if found := most_urgent([row["timeliness"] for row in rows]):
            timeliness = self._place.table.timeliness or found
        known = (self._subject.period.start, self._subject.period.stop, self._row["timeliness"])
        if known == (start, stop, timeliness):
            return False
        with self._task("SegmentTimeliness", segments=len(rows)) as task:
            task.output = {"timeliness": timeliness, "start": start, "stop": stop}
        values: dict[str, Any] = {"start_time": start, "stop_time": stop, "timeliness": timeliness}
        if not self._subject.facts.ordered:
            values["priority"] = priority_of(timeliness)
        ledger.wait(self._connection, self._id, values)
        self._subject = Subject(
            self._subject.satellite, timeliness, Period(start, stop), self._subject.since, self._subject.facts
        )
        ledger.close(self._connection, self._id)
        rows_needed = [row for need in needs_of(self._place.table, self._subject) for row in self._rows(need)]
        ledger.open_more(self._connection, self._id, rows_needed)
        return True

    def _rows(self, need: Need) -> Iterator[dict[str, Any]]:
        return open_rows(need, self._subject.satellite)

    def _wait(self, waiting: Sequence[Waiting]) -> bool:
        """Write down what is waited for; False if more than was written down before."""
        needed = [row for each in waiting for row in self._rows(each.need)]
        there = {(row["input"], row["alternative"]) for row in ledger.opened(self._connection, self._id)}
        inputs = {each.need.number for each in waiting}
        if obsolete := {number for number, _ in there} - inputs:
            ledger.close(self._connection, self._id, obsolete)
        more = [row for row in needed if (row["input"], row["alternative"]) not in there]
        ledger.open_more(self._connection, self._id, more)
        waits_for = [_told(each) for each in waiting]
        due = min(self._give_up, *(each.until for each in waiting))
        ledger.wait(self._connection, self._id, {"waits_for": waits_for, "reason": _reason(waits_for), "due": due})
        if due < self._now + ledger.LONGEST_SLEEP:
            ledger.notify(self._connection)
        return not more

    def _time_out(self, waiting: Sequence[Waiting]) -> None:
        lacks = "; ".join(f"{each.need.name}: {each.lacks}" for each in waiting)
        reason = f"gave up at {shown(self._give_up)}, mandatory inputs did not come: {lacks}"
        with self._task("JobGenerator") as task:
            task.status, task.error_code = "TIMEOUT", 1
            task.missing = [
                logs.Missing({"product_type": kind, "chain": self._place.chain.name}, end_to_end=output.end_to_end)
                for output, kind, _ in self._place.chain.patterns(self._place.table)
                if output.mandatory
            ]
            task.output = {"reason": reason}
        end(self._connection, self._row, Outcome.TIMEOUT, reason)

    def _go_on(self, inputs: Sequence[Settled]) -> None:
        if reason := self._not_covered(inputs):
            end(self._connection, self._row, Outcome.OK, f"nothing is made: {reason}")
            return
        job = self._subject
        with self._task("JobGenerator") as task:
            order = order_of(self._place, self._id, self._row["attempt"], job, inputs)
            task.output = {"job": str(self._id), "inputs": [each.name for each in order.inputs][:20]}
        if (size := len(order.model_dump_json())) > ORDER_LIMIT_BYTES:
            reason = f"its order has {len(order.inputs)} inputs and {size} bytes, {ORDER_LIMIT_BYTES} are possible"
            end(self._connection, self._row, Outcome.NOK, f"{reason}: let the task table choose fewer products")
            return
        without = [f"{each.need.name} ({each.lacks})" for each in inputs if each.lacks]
        reason = "has its inputs" + (f"; without, or with part of: {'; '.join(without)}" if without else "")
        values = {"reason": reason[:REASON_LIMIT]}
        if ledger.ready(self._connection, self._id, order, values):
            PREPARED.labels(job.mission, self._place.chain.name, "READY").inc()
            WAITED.labels(job.mission, job.timeliness).observe((self._now - job.since).total_seconds())

    def _not_covered(self, inputs: Sequence[Settled]) -> str:
        """Why no job is needed; empty if one is."""
        by_name = {each.need.name: each for each in inputs}
        for check in self._place.table.checks:
            masks = by_name[check.mask].products
            footprint = self._footprint() if masks else None
            if not masks or footprint is None:
                continue
            with self._task(check.task, mask=masks[0]["name"]) as task:
                try:
                    percent = self._masks.percent(footprint, masks[0])
                except MaskError as error:
                    task.status, task.error_code = "NOK", 1
                    log.error("mask is not used", mask=masks[0]["name"], reason=str(error))
                    continue
                task.output = {"percent": percent}
            if percent <= check.more_than_percent:
                return f"{percent:.3g} % of {self._subject.facts.name} lie over {masks[0]['name']}"
        return ""

    def _footprint(self) -> str | None:
        statement = select(Product.footprint).where(Product.id == self._subject.facts.product_id)
        found: str | None = self._connection.execute(statement).scalar_one_or_none()
        return found

    def _task(self, name: str, **given: Any) -> Any:
        return logs.task(
            name,
            chain=self._place.chain.name,
            mission=self._subject.mission,
            satellite=self._subject.satellite,
            follows=self._subject.facts.follows,
            job=str(self._id),
            task_table=self._place.table.name,
            **given,
        )


def end(connection: Connection, row: RowMapping, outcome: Outcome, reason: str) -> None:
    """End a waiting job."""
    if ledger.end(connection, row["id"], outcome, reason, [State.WAITING]):
        PREPARED.labels(row["mission"], row["chain"], outcome).inc()
        log.info("job ended", job=str(row["id"]), outcome=str(outcome), reason=reason)


def _told(waiting: Waiting) -> dict[str, Any]:
    """An input that is waited for, as it is shown."""
    need = waiting.need
    return {
        "input": need.name,
        "mandatory": need.mandatory,
        "productTypes": list(dict.fromkeys(kind for each in need.alternatives for kind in each.product_types)),
        "start": shown(need.alternatives[0].period.start),
        "stop": shown(need.alternatives[0].period.stop),
        "until": shown(waiting.until),
        "lacks": waiting.lacks[:REASON_LIMIT],
    }


def _reason(waits_for: Sequence[dict[str, Any]]) -> str:
    """What a job waits for, as a sentence."""
    parts = [f"{each['input']} until {each['until']}: {each['lacks']}" for each in waits_for]
    return f"waits for {'; '.join(parts)}"[:REASON_LIMIT]
