"""Production jobs in the database, as execution moves them: every step is one that can only be made once."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Connection, Engine, RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.execution.tables import Execution, Phase, with_execution
from refsys.services.execution.usage import Measures
from refsys.services.production.states import Cause, Generation, Outcome, State
from refsys.services.production.tables import REASON_LIMIT, Job, ended, past_with

_DETAILS = (Execution.phase, Execution.detail, Execution.node, Execution.hold, Execution.started)


def find(engine: Engine, job: UUID) -> RowMapping | None:
    """Return a job with where it is in the cluster."""
    with engine.connect() as connection:
        statement = with_execution(*Job.__table__.columns, *_DETAILS).where(Job.id == job)
        return connection.execute(statement).mappings().one_or_none()


def running(engine: Engine) -> list[UUID]:
    """Return the jobs that execution has."""
    with engine.connect() as connection:
        return [*connection.execute(select(Job.id).where(Job.state == State.GENERATING)).scalars()]


def queues(engine: Engine) -> dict[str, tuple[int, float]]:
    """Of each mission how many jobs run, and for how many seconds the one waits that has waited for longest to run.

    Jobs count that have their inputs; those that operators hold do not.
    """
    runs = Execution.phase == Phase.RUNNING
    waits = Execution.phase.is_(None) | (Execution.phase == Phase.QUEUED)
    seconds = func.extract("epoch", func.now() - func.min(Job.changed).filter(waits))
    statement = with_execution(Job.mission, func.count().filter(runs), func.coalesce(seconds, 0.0))
    statement = statement.where(Job.state.in_((State.DISPATCHING, State.GENERATING)), Execution.hold.is_not(True))
    with engine.connect() as connection:
        rows = connection.execute(statement.group_by(Job.mission)).all()
    return {mission: (running, max(0.0, float(waited))) for mission, running, waited in rows}


def taken(engine: Engine, job: UUID, attempt: int) -> bool:
    """Note that Kafka has a job, as its message proves; False if there is no such job."""
    with engine.begin() as connection:
        connection.execute(
            update(Job)
            .where(Job.id == job, Job.attempt == attempt, Job.state == State.DISPATCHING)
            .values(state=State.GENERATING, generation=Generation.SENT, changed=func.now())
        )
        return connection.execute(select(Job.id).where(Job.id == job)).scalar_one_or_none() is not None


@contextmanager
def ending(engine: Engine, job: UUID, attempt: int) -> Iterator[Connection | None]:
    """Hold a job while its attempt is ended; None where it is over, or another one runs."""
    with engine.begin() as connection:
        statement = select(Job.state).where(Job.id == job, Job.attempt == attempt).with_for_update()
        found = connection.execute(statement).scalar_one_or_none()
        yield connection if found == State.GENERATING else None


def keep_result(connection: Connection, job: UUID, products: Sequence[str], measures: Measures | None) -> None:
    """Keep what a job that is held has made and used."""
    used = measures and measures.model_dump(mode="json", by_alias=True)
    values = {"products": products, "measures": used}
    statement = insert(Execution).values(job_id=job, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[Execution.job_id], set_=values))


def end(connection: Connection, job: UUID, outcome: Outcome, reason: str) -> None:
    """End a job that is held."""
    connection.execute(update(Job).where(Job.id == job).values(ended(outcome, reason)))


def again(connection: Connection, job: UUID, attempt: int, cause: Cause, reason: str) -> None:
    """Begin the next attempt of a job that is held."""
    said = f"another attempt: {reason}"
    values = {"attempt": attempt + 1, "reason": said[:REASON_LIMIT], "changed": func.now()}
    values["past"] = past_with(attempt, cause, reason)
    connection.execute(update(Job).where(Job.id == job).values(values))
    _keep(connection, job, Phase.QUEUED, said, "")


def place(engine: Engine, job: UUID, phase: Phase, detail: str, node: str) -> None:
    """Note where a job is."""
    with engine.begin() as connection:
        _keep(connection, job, phase, detail, node)


def _keep(connection: Connection, job: UUID, phase: Phase, detail: str, node: str) -> None:
    began = phase is Phase.RUNNING
    values = {"phase": phase, "detail": detail, "node": node, "changed": func.now()}
    values |= {"started": func.now()} if began else {}
    statement = insert(Execution).values(job_id=job, **values)
    changed = (Execution.phase != phase) | (Execution.detail != detail) | (Execution.node != node)
    connection.execute(statement.on_conflict_do_update(index_elements=[Execution.job_id], set_=values, where=changed))
