"""Operators' side of jobs in the database: submit, look, hold, release, end. The process `execution` is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, RowMapping, Select, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.families import BUCKETS
from refsys.services.common.messages import utc_now
from refsys.services.execution.places import MISSIONS
from refsys.services.execution.tables import CHANNEL, Execution, Phase
from refsys.services.production.order import Order
from refsys.services.production.states import Generation, Outcome, State
from refsys.services.production.tables import CHANNEL as OF_PREPARATION
from refsys.services.production.tables import Job, OpenInput

_SHOWN = (
    *(Job.id, Job.chain, Job.task_table, Job.mission, Job.satellite, Job.timeliness, Job.priority, Job.trigger),
    *(Job.state, Job.generation, Job.outcome, Job.reason, Job.attempt, Job.created, Job.changed, Job.t0_pdgs),
)
_PLACE = (Execution.phase, Execution.detail, Execution.node, Execution.hold, Execution.started)
# Whoever listens looks at the table: the word may come late, twice, or not at all.
_TELL = text("SELECT pg_notify(:channel, :said)")


class RefusedError(Exception):
    """What was asked can't be done; says why."""


class UnknownError(Exception):
    """There is no such job."""


@dataclass(frozen=True)
class Wanted:
    """Conditions of a list of jobs."""

    states: Sequence[str] = ()
    mission: str = ""
    chain: str = ""


def submit(engine: Engine, order: Order, operator: str) -> None:
    """Have an order done that an operator made. Preparation sends it, as its own ones.

    Raises:
        RefusedError: it can't be done, or there is a job of that id.
    """
    _check(order)
    now = utc_now()
    values = {
        "id": order.job_id,
        "trigger": f"submitted as {order.job_id}",
        "facts": {},
        "start_time": order.start_time or now,
        "stop_time": order.stop_time or now,
        "t0_pdgs": order.t0_pdgs_date,
        "state": State.DISPATCHING,
        "generation": Generation.READY,
        "reason": f"submitted by {operator}",
        "order": order.model_dump(mode="json", by_alias=True),
        "attempt": order.attempt,
    }
    names = ("chain", "task_table", "mission", "satellite", "timeliness", "priority")
    values |= {name: getattr(order, name) for name in names}
    with engine.begin() as connection:
        made = connection.execute(insert(Job).values(values).on_conflict_do_nothing().returning(Job.id))
        if made.scalar_one_or_none() is None:
            raise RefusedError(f"there is a job {order.job_id} already; leave jobId away, or choose another one")
        _tell(connection, OF_PREPARATION, "")


def _check(order: Order) -> None:
    """Refuse what would only fail later, and what reads where no products are."""
    if order.mission not in MISSIONS:
        raise RefusedError(f"mission {order.mission!r} is none of {', '.join(MISSIONS)}")
    buckets = set(BUCKETS.values())
    for given in [*order.inputs, *(order.bench.reference if order.bench else ())]:
        if given.bucket not in buckets:
            raise RefusedError(f"input {given.name} is in bucket {given.bucket}, where no products are")
    for output in order.outputs:
        if output.family not in BUCKETS:
            raise RefusedError(f"output {output.product_type} has the unknown family {output.family}")


def find(engine: Engine, job: UUID) -> RowMapping:
    """Return a job.

    Raises:
        UnknownError: there is none.
    """
    with engine.connect() as connection:
        columns = (*_SHOWN, Job.waits_for, Job.due, Job.order, Execution.measures, *_PLACE)
        statement = select(*columns).join_from(Job, Execution, Execution.job_id == Job.id, isouter=True)
        found = connection.execute(statement.where(Job.id == job)).mappings().one_or_none()
    if found is None:
        raise UnknownError(f"there is no job {job}")
    return found


def search(engine: Engine, wanted: Wanted, page: int, size: int) -> Sequence[RowMapping]:
    """Return one page of jobs, what changed last first."""
    columns: tuple[Any, ...] = (*_SHOWN, *_PLACE)
    statement: Select[Any] = select(*columns).join_from(Job, Execution, Execution.job_id == Job.id, isouter=True)
    if wanted.states:
        statement = statement.where(Job.state.in_(wanted.states))
    if wanted.mission:
        statement = statement.where(Job.mission == wanted.mission)
    if wanted.chain:
        statement = statement.where(Job.chain == wanted.chain)
    statement = statement.order_by(Job.changed.desc(), Job.id).offset(page * size).limit(size)
    with engine.connect() as connection:
        return connection.execute(statement).mappings().all()


def end(engine: Engine, job: UUID, operator: str) -> None:
    """End a job, wherever it is.

    Raises:
        RefusedError: it has ended.
        UnknownError: there is none.
    """
    values: dict[str, Any] = {"state": State.TERMINATED, "generation": Generation.END, "outcome": Outcome.CANCELLED}
    values |= {"reason": f"ended by {operator}", "waits_for": [], "due": None, "changed": func.now()}
    with engine.begin() as connection:
        _open(connection, job)
        connection.execute(delete(OpenInput).where(OpenInput.job_id == job))
        connection.execute(update(Job).where(Job.id == job).values(values))


def hold(engine: Engine, job: UUID, *, held: bool) -> None:
    """Hold a job back, or let it go on; one that runs is stopped, and begins anew.

    Raises:
        RefusedError: it has ended, or is what it shall be.
        UnknownError: there is none.
    """
    with engine.begin() as connection:
        row = _open(connection, job)
        if bool(row["hold"]) == held:
            raise RefusedError(f"job {job} is {'held' if held else 'not held'} already")
        statement = insert(Execution).values(job_id=job, hold=held, phase=Phase.QUEUED)
        changed = {"hold": held, "changed": func.now()}
        connection.execute(statement.on_conflict_do_update(index_elements=[Execution.job_id], set_=changed))
        _tell(connection, CHANNEL, str(job))


def _open(connection: Connection, job: UUID) -> RowMapping:
    """Return a job that has not ended, locked."""
    statement = select(Job.state, Execution.hold).join_from(Job, Execution, Execution.job_id == Job.id, isouter=True)
    statement = statement.where(Job.id == job).with_for_update(of=Job.__table__)
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise UnknownError(f"there is no job {job}")
    if row["state"] == State.TERMINATED:
        raise RefusedError(f"job {job} has ended")
    return row


def _tell(connection: Connection, channel: str, said: str) -> None:
    connection.execute(_TELL, {"channel": channel, "said": said})
