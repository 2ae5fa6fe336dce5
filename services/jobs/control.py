"""What operators do with jobs; the processes `preparation` and `execution` hear of it."""

from uuid import UUID

from sqlalchemy import Connection, Engine, RowMapping, delete, func, text, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.execution.tables import CHANNEL, Execution, with_execution
from refsys.services.jobs.errors import RefusedError
from refsys.services.preparation import ledger
from refsys.services.production.drmaa import Action
from refsys.services.production.states import Cause, Generation, Outcome, State
from refsys.services.production.tables import Job, past_with

# Who listens looks at the tables: the word may come late, twice, or not at all.
_TELL = text(f"SELECT pg_notify('{CHANNEL}', :job)")


def control(engine: Engine, job: UUID, action: Action, operator: str) -> None:
    """Do something with a job.

    Raises:
        RefusedError: there is none, or it is not where this can be done.
    """
    with engine.begin() as connection:
        row = _locked(connection, job)
        if action is Action.RESTART:
            _restart(connection, row, operator)
        elif row["state"] == State.TERMINATED:
            raise RefusedError(f"job {job} has ended")
        elif action is Action.TERMINATE:
            ledger.end(connection, job, Outcome.CANCELLED, f"is cancelled by {operator}", [State(row["state"])])
        else:
            _hold(connection, row, held=action in {Action.SUSPEND, Action.HOLD})


def _locked(connection: Connection, job: UUID) -> RowMapping:
    columns = (Job.id, Job.state, Job.attempt, Job.reason, Job.facts, Job.order, Execution.hold)
    statement = with_execution(*columns).where(Job.id == job).with_for_update(of=Job.__table__)
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise RefusedError(f"there is no job {job}")
    return row


def _restart(connection: Connection, row: RowMapping, operator: str) -> None:
    """Begin an ended job anew, as its next attempt; one that waits is looked at now."""
    if row["state"] == State.WAITING:
        ledger.look_soon(connection, [row["id"]])
        return
    if row["state"] != State.TERMINATED:
        raise RefusedError(f"job {row['id']} is {row['state']}: terminate it, then restart it")
    attempt = row["attempt"] + 1
    values = {"attempt": attempt, "outcome": None, "reason": f"is restarted by {operator}"}
    values |= {"since": func.now(), "changed": func.now()}
    values["past"] = past_with(row["attempt"], Cause.OPERATOR, row["reason"])
    if row["facts"]:
        values |= {"state": State.WAITING, "generation": Generation.INITIAL, "order": None, "due": func.now()}
    else:  # no product made it: it was submitted, with its order
        order = {**row["order"], "attempt": attempt}
        values |= {"state": State.DISPATCHING, "generation": Generation.READY, "order": order}
    connection.execute(delete(Execution).where(Execution.job_id == row["id"]))
    connection.execute(update(Job).where(Job.id == row["id"]).values(values))
    ledger.notify(connection)


def _hold(connection: Connection, row: RowMapping, *, held: bool) -> None:
    """Hold a job back, or let it go on; one that runs is stopped, and begins anew."""
    if bool(row["hold"]) == held:
        raise RefusedError(f"job {row['id']} is {'held already' if held else 'not held'}")
    values = {"hold": held, "changed": func.now()}
    statement = insert(Execution).values(job_id=row["id"], **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[Execution.job_id], set_=values))
    connection.execute(_TELL, {"job": str(row["id"])})
