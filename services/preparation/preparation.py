"""Jobs: made by catalogue events, and looked at when something they could use is there, or their time has come.

What a job could use is written down before the catalogue is asked for it. A product that is catalogued meanwhile is
then either found, or its event finds the job: none is missed. Looking at a job locks its row, so that it goes on once,
whoever looks at the same time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import Engine

from refsys.services.common import logs, tracing
from refsys.services.common.database import autocommit
from refsys.services.common.families import Family
from refsys.services.common.messages import CatalogEvent
from refsys.services.common.names import InvalidNameError, ProductName
from refsys.services.ingestion.stations.sampling import Sampling, reason_to_filter
from refsys.services.preparation import ledger
from refsys.services.preparation.coverage import Masks
from refsys.services.preparation.examination import Examination, end
from refsys.services.preparation.facts import Facts, facts_of, key_of, name_of
from refsys.services.preparation.needs import Period, Subject, needs_of, open_rows
from refsys.services.production.chains import ByDataTake, ByProduct, BySession, TaskTable
from refsys.services.production.shelf import Place, Shelf
from refsys.services.production.states import Outcome, priority_of

AT_ONCE = 20
"""Jobs that an event has looked at while it is handled; more are looked at in the order of their priority."""
CHAIN = "PREPARATION"
AUXILIARY = (Family.AUXILIARY_FILE, Family.PLAN_AND_REPORT, Family.S2_AUX, Family.S2_SAD, Family.S3_AUX)

JOBS = Counter("refsys_production_jobs_made_total", "Production jobs made, by chain", ["mission", "chain"])

log = logs.get_logger()


@dataclass
class Preparation:
    """Makes and looks at jobs; threads may share it."""

    engine: Engine
    shelf: Shelf
    masks: Masks
    sampling: Sampling
    hints: dict[UUID, Sequence[int]] = field(default_factory=dict)
    """Of jobs that are made due by an event, the inputs that it may be for; lost, all of them are looked at."""

    def take(self, event: CatalogEvent) -> None:
        """Make the jobs of a catalogued product, and look at those that could use it."""
        try:
            name = name_of(event)
        except InvalidNameError:
            tracing.nothing_done()
            return
        used = self._used(event, name)
        made = self._make(event, name)
        if not made and not used:
            tracing.nothing_done()
        for job in made:
            self.examine(job)

    def _used(self, event: CatalogEvent, name: ProductName) -> bool:
        values = {
            "product_type": name.product_type,
            "satellite": event.satellite_id,
            "last_satellite": event.satellite_id + ("~" if event.satellite_id == event.mission_id else ""),
            "start": event.content_date_start,
            "stop": event.content_date_end,
            "key": key_of(event, name),
        }
        with autocommit(self.engine) as connection:
            rows = connection.execute(ledger.USES, values).all()
        if len(rows) > AT_ONCE:
            self.hints.update({row.job_id: row.inputs for row in rows})
            with self.engine.begin() as connection:
                ledger.look_soon(connection, [row.job_id for row in rows])
        else:
            for row in rows:
                self.examine(row.job_id, row.inputs)
        return bool(rows)

    def _make(self, event: CatalogEvent, name: ProductName) -> list[UUID]:
        places = [
            place
            for place in self.shelf.triggered(event.product_family, name.product_type, event.mission_id)
            if _takes(place.table, event.timeliness)
        ]
        if not places:
            return []
        if event.satellite_id == event.mission_id:
            log.warning("product makes no job: its satellite is not known", product=event.key())
            return []
        facts = facts_of(event, name)
        if reason := self._not_sampled(event, facts):
            log.info("product makes no job", product=event.key(), reason=reason)
            return []
        given = {"mission": event.mission_id, "satellite": event.satellite_id, "filename": event.key()}
        with logs.task("TaskTableLookup", chain=CHAIN, follows=str(event.uid), **given) as lookup:
            lookup.output = {"task_tables": [f"{place.chain.name}/{place.table.name}" for place in places]}
        made = []
        with logs.task("ProductionTrigger", chain=CHAIN, follows=str(event.uid), **given) as task:
            for place in places:
                trigger = trigger_of(place.table, facts)
                if trigger and (job := self._add(place, event, facts, trigger)):
                    made.append(job)
            task.output = {"jobs": [str(job) for job in made]}
        return made

    def _add(self, place: Place, event: CatalogEvent, facts: Facts, trigger: str) -> UUID | None:
        """Make a job; None if it is there already."""
        values = new_job(place, event, facts, trigger, "is made, its inputs are looked for")
        identifier: UUID = values["id"]
        with self.engine.begin() as connection:
            period = Period(event.content_date_start, event.content_date_end)
            subject = Subject(event.satellite_id, values["timeliness"], period, ledger.now(connection), facts)
            rows = [row for need in needs_of(place.table, subject) for row in open_rows(need, event.satellite_id)]
            if not ledger.add(connection, values, rows):
                return None
        JOBS.labels(event.mission_id, place.chain.name).inc()
        return identifier

    def _not_sampled(self, event: CatalogEvent, facts: Facts) -> str | None:
        """Why nothing is made of what came in; what the chain made itself was taken when it came down."""
        if event.trace.seen is None or event.product_family in AUXILIARY or event.mission_id not in self.sampling:
            return None
        return reason_to_filter(self.sampling, event.mission_id, facts.downlink)

    def examine(self, job: UUID, inputs: Sequence[int] | None = None) -> None:
        """Look at a job: it goes on, waits or ends. With `inputs`, only these may be there now."""
        while self._examined(job, inputs) is False:
            inputs = None  # what it could use is written down: now it counts

    def _examined(self, job: UUID, inputs: Sequence[int] | None) -> bool:
        """False if it has to be looked at again."""
        with self.engine.begin() as connection:
            row = ledger.lock(connection, job)
            if row is None:
                ledger.close(connection, job)
                return True
            place = self.shelf.find(row["chain"], row["task_table"])
            if place is None:
                reason = f"task table {row['task_table']} of chain {row['chain']} is not there any more"
                end(connection, row, Outcome.NOK, f"{reason}: add the chain again, and restart the job")
                return True
            return Examination(connection, row, place, self.masks).run(inputs)


def _takes(table: TaskTable, timeliness: str) -> bool:
    trigger = table.trigger
    return not isinstance(trigger, ByProduct) or not trigger.timeliness or timeliness in trigger.timeliness


def new_job(place: Place, event: CatalogEvent, facts: Facts, trigger: str, reason: str) -> dict[str, Any]:
    """The row of a job that a product makes."""
    chain, table = place.chain.name, place.table
    timeliness = table.timeliness or event.timeliness
    return {
        "id": ledger.job_id(chain, table.name, trigger),
        "chain": chain,
        "task_table": table.name,
        "mission": event.mission_id,
        "satellite": event.satellite_id,
        "timeliness": timeliness,
        "priority": priority_of(timeliness),
        "trigger": trigger,
        "facts": facts.model_dump(mode="json", by_alias=True),
        "start_time": event.content_date_start,
        "stop_time": event.content_date_end,
        "reason": reason,
    }


def trigger_of(table: TaskTable, facts: Facts) -> str:
    """What makes a job of a task table, once; empty if the product can't."""
    match table.trigger:
        case BySession():
            return f"session {facts.key}" if facts.key else ""
        case ByDataTake():
            return f"data take {facts.key}" if facts.key else ""
        case _:
            return facts.name
