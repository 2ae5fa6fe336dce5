"""Operators' endpoints of chains, under `/operations/v1/production/chains`."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.database import lock_transaction
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.operations.answers import engine_of, not_found, operator_of, shown
from refsys.services.preparation import ledger
from refsys.services.preparation.chains import added, together
from refsys.services.production.chains import Chain, triggering
from refsys.services.production.check import LIMIT_BYTES, ChainError, check_together, read_chain
from refsys.services.production.shelf import shipped
from refsys.services.production.states import State
from refsys.services.production.tables import AddedChain, Job

LOCK = "refsys chains"
ChainName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Database = Annotated[Engine, Depends(engine_of)]

router = APIRouter(prefix="/operations/v1/production/chains")


class Document(BaseModel):
    """A chain file."""

    model_config = ConfigDict(extra="forbid")

    document: Annotated[str, Field(min_length=1, max_length=LIMIT_BYTES, pattern=r"^[^\x00]*$")]


@router.get("")
def chains(database: Database) -> list[dict[str, Any]]:
    """Return all chains: those of the distribution and those that were added."""
    with database.connect() as connection:
        rows = {row.name: row for row in connection.execute(select(AddedChain.__table__)).all()}
        jobs = select(Job.chain, func.count().label("jobs")).where(Job.state != State.TERMINATED).group_by(Job.chain)
        totals = {row.chain: row.jobs for row in connection.execute(jobs)}
    found, _ = together({name: row.document for name, row in rows.items()})
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


@router.post("", status_code=201)
def add(given: Document, database: Database, request: Request) -> dict[str, Any]:
    """Add a chain, or put another in the place of the one of its name; it runs at once."""
    try:
        chain = read_chain(given.document)
        with database.begin() as connection:
            lock_transaction(connection, LOCK)
            others, _ = together(added(connection))
            check_together(others.values(), chain)
            values = {"name": chain.name, "document": given.document, "operator_name": operator_of(request)}
            statement = insert(AddedChain).values(values)
            renewed = {**values, "added": func.clock_timestamp()}
            connection.execute(statement.on_conflict_do_update(index_elements=[AddedChain.name], set_=renewed))
            ledger.notify(connection)
    except ChainError as error:
        raise ODataError(400, "BadRequest", str(error)) from None
    return _chain(chain)


@router.delete("/{name}", status_code=204)
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
