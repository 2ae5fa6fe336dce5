"""What is written down of jobs. Every change of state is one statement that says which state it leaves."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, literal_column, select, text, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.production.order import Order
from refsys.services.production.states import Generation, Outcome, State
from refsys.services.production.tables import CHANNEL, REASON_LIMIT, Job, OpenInput, ended

TRIES_AGAIN_SECONDS = 60.0
LONGEST_SLEEP = timedelta(minutes=1)
"""Of who looks at due jobs: who makes one due sooner notifies. A clock that is set forward wakes nobody."""
KEPT = timedelta(days=90)
_job, _open = Job.__table__, OpenInput.__table__

# Satellites of a mission are those between its name and the name with what is behind all letters.
USES = text(
    "SELECT job_id, array_agg(DISTINCT input ORDER BY input) AS inputs FROM production.open_input "
    "WHERE product_type = :product_type AND satellite BETWEEN :satellite AND :last_satellite "
    "AND period && tstzrange(:start, :stop, '[]') AND (NOT covers OR period <@ tstzrange(:start, :stop, '[]')) "
    "AND (key IS NULL OR key = :key) AND (useful IS NULL OR useful <= now()) GROUP BY job_id"
)
# Constants are written out where an index has them in its condition.
_WAITS = Job.state == literal_column(f"'{State.WAITING}'")
_TO_SEND = Job.state == literal_column(f"'{State.DISPATCHING}'")
_ENDED = Job.state == literal_column(f"'{State.TERMINATED}'")
_OPEN = Job.state != literal_column(f"'{State.TERMINATED}'")
LOCK = select(_job, func.now().label("now")).where(Job.id == bindparam("job"), _WAITS).with_for_update()
_NOTIFY = text(f"NOTIFY {CHANNEL}")


def job_id(chain: str, table: str, trigger: str) -> UUID:
    """The identifier of a job: always the same for what makes it."""
    return uuid5(NAMESPACE_URL, f"urn:refsys:job:{chain}/{table}/{trigger}")


def add(connection: Connection, values: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> bool:
    """Write a new job down with what it could use; False if it is there already.

    It is due at once: whoever is killed now, somebody looks at it.
    """
    given = {**values, "state": State.WAITING, "generation": Generation.INITIAL, "due": func.now()}
    statement = insert(Job).values(given).on_conflict_do_nothing().returning(Job.id)
    if connection.execute(statement).scalar_one_or_none() is None:
        return False
    open_more(connection, values["id"], rows)
    return True


def open_more(connection: Connection, job: UUID, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write down what else a job could use."""
    if given := [{"job_id": job, **row} for row in rows]:
        connection.execute(insert(OpenInput).on_conflict_do_nothing(), given)


def opened(connection: Connection, job: UUID) -> Sequence[RowMapping]:
    """What is written down that a job could use."""
    return connection.execute(select(_open).where(OpenInput.job_id == job)).mappings().all()


def close(connection: Connection, job: UUID, inputs: Iterable[int] | None = None) -> None:
    """Forget what a job could use, for some of its inputs or for all."""
    statement = delete(OpenInput).where(OpenInput.job_id == job)
    connection.execute(statement if inputs is None else statement.where(OpenInput.input.in_(list(inputs))))


def lock(connection: Connection, job: UUID) -> RowMapping | None:
    """A waiting job and the time now, locked until the transaction ends; None if it waits no longer."""
    return connection.execute(LOCK, {"job": job}).mappings().one_or_none()


def due(connection: Connection, limit: int) -> list[UUID]:
    """Waiting jobs whose time has come, the most urgent first."""
    statement = select(Job.id).where(_WAITS, Job.due <= func.now())
    return list(connection.execute(statement.order_by(Job.priority, Job.due).limit(limit)).scalars())


def seconds_to_next(connection: Connection) -> float | None:
    """In how long the next job is due; None if none is."""
    earliest = select(func.min(Job.due)).where(_WAITS).scalar_subquery()
    seconds = connection.execute(select(func.extract("epoch", earliest - func.now()))).scalar_one()
    return None if seconds is None else float(seconds)


def overdue_seconds(connection: Connection) -> dict[str, float]:
    """By mission, for how long the job has been due that is so for longest."""
    seconds = func.extract("epoch", func.now() - func.min(Job.due))
    statement = select(Job.mission, seconds).where(_WAITS).group_by(Job.mission)
    return {mission: max(0.0, float(found or 0)) for mission, found in connection.execute(statement)}


def counts(connection: Connection) -> list[tuple[str, str, str, int]]:
    """How many jobs of each mission and class of timeliness are in each state that is not the last."""
    columns = (Job.state, Job.mission, Job.timeliness)
    statement = select(*columns, func.count()).where(_OPEN).group_by(*columns)
    return [
        (state, mission, timeliness, number) for state, mission, timeliness, number in connection.execute(statement)
    ]


def wait(connection: Connection, job: UUID, values: Mapping[str, Any]) -> None:
    """Say what a job waits for."""
    _change(connection, job, State.WAITING, {"generation": Generation.PRIMARY_CHECK, **values})


def try_again(connection: Connection, job: UUID, reason: str) -> None:
    """Say why a job could not be looked at; it is looked at again in a while."""
    later = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, TRIES_AGAIN_SECONDS)
    _change(connection, job, State.WAITING, {"reason": reason[:REASON_LIMIT], "due": later})


def look_soon(connection: Connection, jobs: Sequence[UUID]) -> None:
    """Have jobs looked at, when it is their turn."""
    # Two of these at the same time take the rows in one order.
    rows = select(Job.id).where(Job.id.in_(jobs), _WAITS).order_by(Job.id).with_for_update()
    connection.execute(update(Job).where(Job.id.in_(rows.scalar_subquery())).values(due=func.now()))
    notify(connection)


def ready(connection: Connection, job: UUID, order: Order, values: Mapping[str, Any]) -> bool:
    """A job has all it needs: its order is made, and is to be sent."""
    given = {
        "state": State.DISPATCHING,
        "generation": Generation.READY,
        "order": order.model_dump(mode="json", by_alias=True),
        "t0_pdgs": order.t0_pdgs_date,
        "waits_for": [],
        "due": None,
        **values,
    }
    close(connection, job)
    changed = _change(connection, job, State.WAITING, given)
    notify(connection)
    return changed


def to_send(connection: Connection, limit: int) -> Sequence[RowMapping]:
    """Orders that Kafka may not have, the most urgent first."""
    statement = select(Job.id, Job.attempt, Job.order).where(_TO_SEND)
    return connection.execute(statement.order_by(Job.priority, Job.changed).limit(limit)).mappings().all()


def sent(connection: Connection, jobs: Sequence[tuple[UUID, int]]) -> None:
    """Kafka has the orders of these jobs and attempts."""
    statement = (
        update(Job)
        .where(Job.id == bindparam("job"), Job.attempt == bindparam("tried"), Job.state == State.DISPATCHING)
        .values(state=State.GENERATING, generation=Generation.SENT, reason="is sent for execution", changed=func.now())
    )
    connection.execute(statement, [{"job": job, "tried": attempt} for job, attempt in jobs])


def end(connection: Connection, job: UUID, outcome: Outcome, reason: str, states: Sequence[State]) -> bool:
    """End a job that is in one of these states."""
    close(connection, job)
    statement = update(Job).where(Job.id == job, Job.state.in_(states)).values(ended(outcome, reason))
    return connection.execute(statement.returning(Job.id)).scalar_one_or_none() is not None


def forget_old(connection: Connection) -> None:
    """Remove jobs that ended long ago."""
    connection.execute(delete(Job).where(_ENDED, Job.changed < func.now() - KEPT))


def notify(connection: Connection) -> None:
    """Wake the process `preparation`, when the transaction is committed."""
    connection.execute(_NOTIFY)


def _change(connection: Connection, job: UUID, state: State, values: Mapping[str, Any]) -> bool:
    statement = update(Job).where(Job.id == job, Job.state == state).values(**values, changed=func.now())
    return connection.execute(statement.returning(Job.id)).scalar_one_or_none() is not None


def now(connection: Connection) -> datetime:
    """The time by the one clock that all go by."""
    moment: datetime = connection.execute(select(func.now())).scalar_one()
    return moment
