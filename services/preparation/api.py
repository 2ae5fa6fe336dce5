"""Operators' endpoints of production, under `/operations/v1/production`: jobs, and chains."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine, RowMapping, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.database import lock_transaction
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.operations.answers import (
    PAGE_LIMIT,
    Moment,
    Page,
    Size,
    conflict,
    engine_of,
    not_found,
    operator_of,
    shown,
)
from refsys.services.preparation import ledger
from refsys.services.preparation.chains import together
from refsys.services.production.chains import Chain, triggering
from refsys.services.production.check import LIMIT_BYTES, ChainError, check_together, read_chain
from refsys.services.production.shelf import shipped
from refsys.services.production.states import Outcome, State
from refsys.services.production.tables import AddedChain, Job

LOCK = "refsys chains"
OPEN = (State.WAITING, State.DISPATCHING, State.GENERATING)
Word = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$")]
ChainName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Database = Annotated[Engine, Depends(engine_of)]

router = APIRouter(prefix="/operations/v1/production")


class Batch(BaseModel):
    """The jobs that an action is for."""

    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] = Field(min_length=1, max_length=PAGE_LIMIT)


class Document(BaseModel):
    """A chain file."""

    model_config = ConfigDict(extra="forbid")

    document: Annotated[str, Field(min_length=1, max_length=LIMIT_BYTES, pattern=r"^[^\x00]*$")]


def selection(  # noqa: PLR0917  # query options
    state: State | None = None,
    outcome: Outcome | None = None,
    mission: Word = None,
    chain: Word = None,
    timeliness: Word = None,
    satellite: Word = None,
    waits_for: Annotated[str | None, Query(alias="waitsFor", max_length=64, pattern=r"^[^\x00]*$")] = None,
    since: Moment | None = None,
) -> list[Any]:
    """Return the conditions of a query; `waitsFor` is a product type, `since` the last change."""
    given = {
        Job.state: state,
        Job.outcome: outcome,
        Job.mission: mission,
        Job.chain: chain,
        Job.timeliness: timeliness,
        Job.satellite: satellite,
    }
    conditions: list[Any] = [column == value for column, value in given.items() if value is not None]
    if waits_for is not None:
        conditions.append(Job.waits_for.contains([{"productTypes": [waits_for]}]))
    if since is not None:
        conditions.append(Job.changed >= since)
    return conditions


Selected = Annotated[list[Any], Depends(selection)]


@router.get("/jobs")
def jobs(database: Database, selected: Selected, page: Page = 0, size: Size = 100) -> list[dict[str, Any]]:
    """Return one page of jobs, those changed last first."""
    statement = select(Job.__table__).where(*selected).order_by(Job.changed.desc(), Job.id)
    with database.connect() as connection:
        return [_document(row) for row in connection.execute(statement.offset(page * size).limit(size)).mappings()]


@router.get("/jobs/count")
def count(database: Database, selected: Selected) -> dict[str, Any]:
    """Return how many jobs there are, by state and outcome."""
    columns = (Job.state, Job.outcome)
    with database.connect() as connection:
        rows = connection.execute(select(*columns, func.count()).where(*selected).group_by(*columns)).all()
    value = [{"state": state, "outcome": outcome, "count": number} for state, outcome, number in rows]
    return {"count": sum(each["count"] for each in value), "value": sorted(value, key=str)}


@router.get("/jobs/{identifier}")
def one(identifier: UUID, database: Database) -> dict[str, Any]:
    """Return one job with its order."""
    with database.connect() as connection:
        row = connection.execute(select(Job.__table__).where(Job.id == identifier)).mappings().one_or_none()
    if row is None:
        raise not_found(f"there is no job {identifier}")
    return _document(row) | {"order": row["order"]}


@router.post("/jobs/{identifier}/restart")
def restart(identifier: UUID, database: Database, request: Request) -> dict[str, Any]:
    """Begin an ended job anew; one that waits is looked at now."""
    if problem := _restarted(database, identifier, operator_of(request)):
        raise problem
    return {"id": str(identifier), "action": "restart"}


@router.post("/jobs/{identifier}/cancel")
def cancel(identifier: UUID, database: Database, request: Request) -> dict[str, Any]:
    """End a job that has not ended."""
    if problem := _cancelled(database, identifier, operator_of(request)):
        raise problem
    return {"id": str(identifier), "action": "cancel"}


@router.post("/jobs/restart")
def restart_many(batch: Batch, database: Database, request: Request) -> dict[str, Any]:
    """Begin many jobs anew; the answer says of each what became of it."""
    operator = operator_of(request)
    return {"results": [_result(each, _restarted(database, each, operator)) for each in batch.ids]}


@router.post("/jobs/cancel")
def cancel_many(batch: Batch, database: Database, request: Request) -> dict[str, Any]:
    """End many jobs; the answer says of each what became of it."""
    operator = operator_of(request)
    return {"results": [_result(each, _cancelled(database, each, operator)) for each in batch.ids]}


@router.get("/chains")
def chains(database: Database) -> list[dict[str, Any]]:
    """Return all chains: those of the distribution and those that were added."""
    with database.connect() as connection:
        rows = {row.name: row for row in connection.execute(select(AddedChain.__table__)).all()}
        totals = dict(
            connection.execute(select(Job.chain, func.count()).where(Job.state != State.TERMINATED).group_by(Job.chain))
            .tuples()
            .all()
        )
    found = together({name: row.document for name, row in rows.items()})
    return [
        {
            **_chain(chain),
            "origin": "added" if name in rows else "shipped",
            "addedBy": rows[name].operator_name if name in rows else None,
            "added": shown(rows[name].added) if name in rows else None,
            "openJobs": totals.get(name, 0),
        }
        for name, chain in sorted(found.items())
    ]


@router.post("/chains", status_code=201)
def add(given: Document, database: Database, request: Request) -> dict[str, Any]:
    """Add a chain, or put another in the place of the one of its name; it runs at once."""
    try:
        chain = read_chain(given.document)
        with database.begin() as connection:
            lock_transaction(connection, LOCK)
            added = connection.execute(select(AddedChain.name, AddedChain.document)).all()
            check_together(together({row.name: row.document for row in added}).values(), chain)
            values = {"name": chain.name, "document": given.document, "operator_name": operator_of(request)}
            statement = insert(AddedChain).values(values)
            renewed = {**values, "added": func.clock_timestamp()}
            connection.execute(statement.on_conflict_do_update(index_elements=[AddedChain.name], set_=renewed))
            ledger.notify(connection)
    except ChainError as error:
        raise ODataError(400, "BadRequest", str(error)) from None
    return _chain(chain)


@router.delete("/chains/{name}", status_code=204)
def remove(name: ChainName, database: Database) -> Response:
    """Take an added chain away; a shipped one of its name is there again."""
    with database.begin() as connection:
        lock_transaction(connection, LOCK)
        statement = delete(AddedChain).where(AddedChain.name == name).returning(AddedChain.name)
        if connection.execute(statement).scalar_one_or_none() is None:
            known = "comes with the distribution: add it with enabled: false" if name in shipped() else "is not there"
            raise not_found(f"chain {name} {known}")
        ledger.notify(connection)
    return Response(status_code=204)


def _restarted(database: Engine, identifier: UUID, operator: str) -> ODataError | None:
    """Why a job is not begun anew; None if it is."""
    with database.begin() as connection:
        if ledger.restart(connection, identifier, f"is restarted by {operator}"):
            return None
        state = _state(connection, identifier)
        if state == State.WAITING:
            ledger.look_soon(connection, [identifier])
            return None
    if state is None:
        return not_found(f"there is no job {identifier}")
    return conflict(f"job {identifier} is {state}: cancel it, then restart it")


def _cancelled(database: Engine, identifier: UUID, operator: str) -> ODataError | None:
    """Why a job is not ended; None if it is."""
    with database.begin() as connection:
        if ledger.end(connection, identifier, Outcome.CANCELLED, f"is cancelled by {operator}", OPEN):
            return None
        state = _state(connection, identifier)
    if state is None:
        return not_found(f"there is no job {identifier}")
    return conflict(f"job {identifier} has ended")


def _state(connection: Any, identifier: UUID) -> str | None:
    found: str | None = connection.execute(select(Job.state).where(Job.id == identifier)).scalar_one_or_none()
    return found


def _result(identifier: UUID, problem: ODataError | None) -> dict[str, Any]:
    reason = {"reason": str(problem)} if problem else {}
    return {"id": str(identifier), "done": problem is None, **reason}


def _document(row: RowMapping) -> dict[str, Any]:
    times = {"startTime": "start_time", "stopTime": "stop_time", "t0PdgsDate": "t0_pdgs", "due": "due"}
    times |= {"created": "created", "since": "since", "changed": "changed"}
    texts = {"chain": "chain", "taskTable": "task_table", "mission": "mission", "satellite": "satellite"}
    texts |= {"timeliness": "timeliness", "priority": "priority", "trigger": "trigger", "state": "state"}
    texts |= {"generation": "generation", "outcome": "outcome", "reason": "reason", "attempt": "attempt"}
    return {
        "id": str(row["id"]),
        **{name: row[column] for name, column in texts.items()},
        "waitsFor": row["waits_for"],
        **{name: shown(row[column]) for name, column in times.items()},
    }


def _chain(chain: Chain) -> dict[str, Any]:
    def cause(table: Any) -> list[str]:
        return sorted(f"{family}/{kind}" for family, kind in triggering(table.trigger))

    tables: list[Mapping[str, Any]] = [
        {
            "name": table.name,
            "triggeredBy": cause(table),
            "makes": [f"{each.family}/{kind}" for each, kind, _ in chain.patterns(table)],
        }
        for table in chain.task_tables
    ]
    return {
        "name": chain.name,
        "mission": chain.mission,
        "description": chain.description,
        "enabled": chain.enabled,
        "processor": f"{chain.processor.name} {chain.processor.version} ({chain.processor.image})",
        "taskTables": tables,
    }
