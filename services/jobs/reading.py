"""Jobs as operators see them: with their state in the terms of DRMAA, and with what execution tells of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic.alias_generators import to_camel
from sqlalchemy import ColumnElement, Engine, func, select

from refsys.services.common.messages import iso
from refsys.services.execution.tables import Execution, Phase, with_execution
from refsys.services.production.drmaa import JobState
from refsys.services.production.states import Outcome, State
from refsys.services.production.tables import Job

Condition = ColumnElement[bool]

# Without what is long: the order, and what it used, are shown of one job alone; the facts are for the preparation.
_COLUMNS = (
    *(Job.id, Job.chain, Job.task_table, Job.mission, Job.satellite, Job.timeliness, Job.priority, Job.trigger),
    *(Job.start_time, Job.stop_time, Job.t0_pdgs.label("t0_pdgs_date"), Job.state, Job.generation, Job.outcome),
    *(Job.reason, Job.waits_for, Job.due, Job.attempt, Job.past, Job.created, Job.since, Job.changed),
    *(Execution.phase, Execution.hold, Execution.node, Execution.detail, Execution.started),
)


def listed(engine: Engine, conditions: Sequence[Condition], page: int, size: int) -> list[dict[str, Any]]:
    """Return one page of jobs, those changed last first."""
    statement = with_execution(*_COLUMNS).where(*conditions).order_by(Job.changed.desc(), Job.id)
    with engine.connect() as connection:
        return [_document(row) for row in connection.execute(statement.offset(page * size).limit(size)).mappings()]


def found(engine: Engine, job: UUID) -> dict[str, Any] | None:
    """Return one job with its order; None if there is none."""
    with engine.connect() as connection:
        statement = with_execution(*_COLUMNS, Job.order, Execution.products, Execution.measures).where(Job.id == job)
        row = connection.execute(statement).mappings().one_or_none()
    return _document(row) if row else None


def counted(engine: Engine, conditions: Sequence[Condition]) -> dict[str, Any]:
    """Return how many jobs there are, by state and outcome."""
    columns = (Job.state, Job.outcome)
    with engine.connect() as connection:
        rows = connection.execute(select(*columns, func.count()).where(*conditions).group_by(*columns)).all()
    value = [{"state": state, "outcome": outcome, "count": number} for state, outcome, number in rows]
    return {"count": sum(each["count"] for each in value), "value": sorted(value, key=str)}


def state_of(row: Mapping[Any, Any]) -> JobState:
    """Return the state of a job in the terms of DRMAA."""
    if row["state"] == State.TERMINATED:
        return JobState.DONE if row["outcome"] in {Outcome.OK, Outcome.WARNING} else JobState.FAILED
    if row["hold"]:
        return JobState.USER_SUSPENDED if row["started"] else JobState.USER_ON_HOLD
    if row["state"] == State.GENERATING and row["phase"] == Phase.RUNNING:
        return JobState.RUNNING
    return JobState.QUEUED_ACTIVE


def _document(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a job as it is shown."""
    given = {name: value for name, value in row.items() if name not in {"id", "hold", "phase"}}
    shown = {to_camel(name): iso(value) if isinstance(value, datetime) else value for name, value in given.items()}
    return {"id": str(row["id"]), "jobState": state_of(row), **shown}
