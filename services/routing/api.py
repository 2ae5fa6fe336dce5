"""Operators' view of the ledger of transfers, part of the operations API (`/operations/v1/routing`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from sqlalchemy import Connection, Engine, RowMapping, func, select, update
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from refsys.services.common.messages import iso, utc_now
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.routing.tables import STATES, Transfer

PAGE_LIMIT = 1000
IDENTIFIER_LIMIT = 2**63 - 1  # bigint
_table = Transfer.__table__

routing_operations = APIRouter(prefix="/routing")

State = StrEnum("State", [(state, state) for state in STATES])  # type: ignore[misc]  # the states of the table


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


Database = Annotated[Engine, Depends(_engine)]
Identifier = Annotated[int, Path(ge=1, le=IDENTIFIER_LIMIT)]


@routing_operations.get("/summary")
def summary(database: Database) -> dict[str, Any]:
    """Return how many transfers and bytes are in each state, by rule."""
    statement = (
        select(Transfer.rule, Transfer.state, func.count(), func.sum(Transfer.size))
        .group_by(Transfer.rule, Transfer.state)
        .order_by(Transfer.rule, Transfer.state)
    )
    with _connection(database) as connection:
        rows = connection.execute(statement).all()
    return {"rules": [{"rule": row[0], "state": row[1], "files": row[2], "bytes": int(row[3])} for row in rows]}


@routing_operations.get("/transfers")
def transfers(
    database: Database,
    *,
    rule: Annotated[str | None, Query(max_length=63)] = None,
    state: State | None = None,
    path: Annotated[str | None, Query(max_length=1024)] = None,
    after: Annotated[int, Query(ge=0, le=IDENTIFIER_LIMIT)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = 100,
) -> dict[str, Any]:
    """Return a page of transfers by rule, state and exact path, oldest first; `next` is `after` of the next page."""
    statement = select(_table).where(Transfer.id > after).order_by(Transfer.id).limit(limit + 1)
    wanted = ((Transfer.rule, rule), (Transfer.state, state), (Transfer.path, path))
    for column, value in wanted:
        if value is not None:
            statement = statement.where(column == str(value))
    with _connection(database) as connection:
        rows = connection.execute(statement).mappings().all()
    page = rows[:limit]
    return {"transfers": [_json(row) for row in page], "next": page[-1]["id"] if len(rows) > limit else None}


@routing_operations.get("/transfers/{identifier}")
def transfer(identifier: Identifier, database: Database) -> dict[str, Any]:
    """Return one transfer; 404 if there is none."""
    with _connection(database) as connection:
        return _json(_find(connection, identifier))


@routing_operations.post("/transfers/{identifier}/retry", status_code=202)
def retry(identifier: Identifier, database: Database) -> dict[str, Any]:
    """Have a failed transfer tried again, with new attempts and a new deadline; 409 if it has not failed."""
    values = {"state": "PENDING", "attempts": 0, "seen": utc_now(), "finished": None, "retry_at": None}
    statement = update(Transfer).where(Transfer.id == identifier, Transfer.state == "FAILED").values(values)
    with _connection(database) as connection:
        changed = connection.execute(statement).rowcount
        row = _find(connection, identifier)
    if not changed:
        raise ODataError(409, "NotFailed", f"transfer {identifier} is {row['state']}: only FAILED ones can be retried")
    return _json(row)


def _find(connection: Connection, identifier: int) -> RowMapping:
    row = connection.execute(select(_table).where(Transfer.id == identifier)).mappings().first()
    if row is None:
        raise ODataError(404, "NotFound", f"there is no transfer {identifier}")
    return row


def _json(row: RowMapping) -> dict[str, Any]:
    times = {name: iso(row[name]) if row[name] else None for name in ("modified", "seen", "started", "finished")}
    return {
        "id": row["id"],
        "rule": row["rule"],
        "path": row["path"],
        "source": row["source"],
        "target": row["target"],
        "size": row["size"],
        "hashAlgorithm": row["hash_algorithm"],
        "hash": row["hash"],
        "state": row["state"],
        "reason": row["reason"],
        "attempts": row["attempts"],
        "retryAt": iso(row["retry_at"]) if row["retry_at"] else None,
        **times,
    }


@contextmanager
def _connection(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        raise ODataError(
            503, "Unavailable", "the database does not answer: try again", {"Retry-After": "10"}
        ) from error
