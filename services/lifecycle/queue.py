"""The queue of evictions: what is due by policy or asked for by an operator, and how far each got."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.lifecycle.tables import DONE, OPERATOR, POLICY, REQUESTED, Storage, data, eviction

RETRY_BASE_SECONDS = 5.0
RETRY_MAX_SECONDS = 3600.0
KEPT = timedelta(days=30)
COPIED = ("product_name", "storage", "path", "mission_id", "satellite_id", "cause", "operator_name", "state")


def add_due(connection: Connection, limit: int) -> int:
    """Request the eviction of products whose date has come; returns how many."""
    return sum(_add_due(connection, storage, limit) for storage in Storage)


def _add_due(connection: Connection, storage: Storage, limit: int) -> int:
    date = data.c[storage.column("eviction_date")]
    known = (
        select(1)
        .where(eviction.c.product_name == data.c.product_name, eviction.c.storage == storage, eviction.c.state != DONE)
        .exists()
    )
    due = (
        _columns(storage, POLICY, "")
        .where(date <= func.now(), ~data.c[storage.column("persistent")], ~known)
        .order_by(date)
        .limit(limit)
    )
    return _insert(connection, due)


def add_asked(connection: Connection, name: str, storage: Storage, operator: str) -> None:
    """Request the eviction of one product by an operator; a request that is there becomes the operator's."""
    _insert(connection, _columns(storage, OPERATOR, operator).where(data.c.product_name == name))


def _columns(storage: Storage, cause: str, operator: str) -> Any:
    path = data.c[storage.column("path")]
    values = (storage.value, path, data.c.mission_id, data.c.satellite_id, cause, operator, REQUESTED)
    columns = [value if not isinstance(value, str) else literal(value) for value in values]
    return select(data.c.product_name, *columns, func.now(), func.now()).where(path.is_not(None))


def _insert(connection: Connection, rows: Any) -> int:
    statement = insert(eviction).from_select([*COPIED, "requested", "retry_at"], rows)
    fresh = {name: statement.excluded[name] for name in (*COPIED, "requested", "retry_at")}
    again = statement.on_conflict_do_update(
        index_elements=[eviction.c.product_name, eviction.c.storage],
        set_={**fresh, "reason": "", "attempts": 0, "finished": None},
        where=or_(eviction.c.state == DONE, eviction.c.state == REQUESTED),
    )
    return len(connection.execute(again.returning(eviction.c.path)).all())


def ready(connection: Connection, limit: int) -> Sequence[RowMapping]:
    """Evictions to be worked on now."""
    statement = (
        select(eviction.c.product_name, eviction.c.storage, eviction.c.path)
        .where(eviction.c.state != DONE, eviction.c.retry_at <= func.now())
        .order_by(eviction.c.retry_at)
        .limit(limit)
    )
    return connection.execute(statement).mappings().all()


def find(connection: Connection, name: str, storage: Storage) -> RowMapping | None:
    """An eviction, locked until the end of the transaction."""
    statement = select(eviction).where(eviction.c.product_name == name, eviction.c.storage == storage)
    return connection.execute(statement.with_for_update()).mappings().one_or_none()


def cancel(connection: Connection, name: str, storage: Storage) -> None:
    """Take back a request of which nothing was done."""
    connection.execute(
        delete(eviction).where(
            eviction.c.product_name == name, eviction.c.storage == storage, eviction.c.state == REQUESTED
        )
    )


def reached(connection: Connection, row: RowMapping, state: str) -> None:
    """Note that an eviction got so far."""
    values: dict[str, Any] = {"state": state, "reason": ""}
    if state == DONE:
        values["finished"] = func.now()
    connection.execute(update(eviction).where(*_is(row)).values(**values))


def failed(connection: Connection, row: RowMapping, reason: str) -> None:
    """Note why an eviction does not go on; it is tried again, less and less often."""
    seconds = func.least(RETRY_MAX_SECONDS, RETRY_BASE_SECONDS * func.power(2, func.least(eviction.c.attempts, 20)))
    connection.execute(
        update(eviction)
        .where(*_is(row), eviction.c.state != DONE)
        .values(
            reason=reason[:2000],
            attempts=eviction.c.attempts + 1,
            retry_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds),
        )
    )


def forget_old(connection: Connection) -> None:
    """Remove evictions that ended long ago."""
    connection.execute(delete(eviction).where(eviction.c.state == DONE, eviction.c.finished < func.now() - KEPT))


def _is(row: RowMapping) -> tuple[Any, Any]:
    return eviction.c.product_name == row["product_name"], eviction.c.storage == row["storage"]
