"""What operators ask of the lifecycle: look, prolong, evict now, make persistent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, or_, select, update

from refsys.services.lifecycle import queue
from refsys.services.lifecycle.record import storage_of
from refsys.services.lifecycle.tables import DONE, REQUESTED, Storage, data, eviction


class RefusedError(Exception):
    """What was asked can't be done to this product; the message says why."""


@dataclass(frozen=True)
class Selection:
    """Conditions of a query, all of which must hold; None asks nothing."""

    name: str | None = None
    """A part of the product's name."""
    family: str | None = None
    evicted_before: datetime | None = None
    persistent: bool | None = None


def search(engine: Engine, selection: Selection, page: int, size: int) -> Sequence[RowMapping]:
    """Return one page of the products that satisfy a selection, in the order of their names."""
    statement = select(data).order_by(data.c.product_name).offset(page * size).limit(size)
    with engine.connect() as connection:
        return connection.execute(statement.where(*_conditions(selection))).mappings().all()


def count(engine: Engine, selection: Selection) -> int:
    """Return how many products satisfy a selection."""
    with engine.connect() as connection:
        return connection.execute(select(func.count()).select_from(data).where(*_conditions(selection))).scalar_one()


def evictions(engine: Engine, page: int, size: int, *, finished: bool) -> Sequence[RowMapping]:
    """Return one page of the evictions that are going on, or of those that ended, the latest first."""
    condition = eviction.c.state == DONE if finished else eviction.c.state != DONE
    statement = select(eviction).where(condition).order_by(eviction.c.requested.desc(), eviction.c.product_name)
    with engine.connect() as connection:
        return connection.execute(statement.offset(page * size).limit(size)).mappings().all()


def prolong(engine: Engine, name: str, storages: Sequence[Storage], date: datetime | None) -> None:
    """Set another eviction date, None for never; a date in the past would be an eviction and is refused."""

    def change(connection: Connection, storage: Storage) -> dict[str, Any]:
        if date is not None and date <= connection.execute(select(func.now())).scalar_one():
            raise RefusedError(f"the date {date.isoformat()} has passed; use evict to evict the product now")
        _take_back(connection, name, storage)
        return {storage.column("eviction_date"): date}

    _change(engine, name, storages, change)


def set_persistent(engine: Engine, name: str, storages: Sequence[Storage], *, persistent: bool) -> None:
    """Keep a product whatever its eviction date says, or no longer."""

    def change(connection: Connection, storage: Storage) -> dict[str, Any]:
        if persistent:
            _take_back(connection, name, storage)
        return {storage.column("persistent"): persistent}

    _change(engine, name, storages, change)


def evict_now(engine: Engine, name: str, storages: Sequence[Storage], operator: str) -> None:
    """Request the eviction of a product; the lifecycle carries it out within seconds."""

    def change(connection: Connection, storage: Storage) -> dict[str, Any]:
        row = _locked(connection, name)
        if row[storage.column("persistent")]:
            raise RefusedError(f"it is persistent in {storage} storage; make it not persistent first")
        queue.add_asked(connection, name, storage, operator)
        return {}

    _change(engine, name, storages, change)


def _change(
    engine: Engine,
    name: str,
    storages: Sequence[Storage],
    change: Callable[[Connection, Storage], dict[str, Any]],
) -> None:
    """Change a product in the storages it lies in, all of them or none."""
    with engine.begin() as connection:
        row = _locked(connection, name)
        present = [storage for storage in storages if row[storage.column("path")] is not None]
        if not present:
            raise RefusedError(f"it does not lie in {' or '.join(storages)} storage")
        values: dict[str, Any] = {}
        for storage in present:
            values |= change(connection, storage)
        if values:
            statement = update(data).where(data.c.product_name == name)
            connection.execute(statement.values(**values, last_modified=func.now(), prip_pending=func.now()))


def _locked(connection: Connection, name: str) -> RowMapping:
    statement = select(data).where(data.c.product_name == name).with_for_update()
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise RefusedError("no product of this name is kept")
    return row


def _take_back(connection: Connection, name: str, storage: Storage) -> None:
    row = queue.find(connection, name, storage)
    if row is not None and row["state"] not in (REQUESTED, DONE):
        raise RefusedError(f"its eviction from {storage} storage has begun (state {row['state']})")
    queue.cancel(connection, name, storage)


def _conditions(selection: Selection) -> list[Any]:
    conditions: list[Any] = []
    if selection.name is not None:
        conditions.append(data.c.product_name.contains(selection.name, autoescape=True))
    if selection.family is not None:
        column = storage_of(selection.family).column("product_family")
        conditions.append(data.c[column] == selection.family)
    if selection.evicted_before is not None:
        dates = [data.c[storage.column("eviction_date")] for storage in Storage]
        conditions.append(or_(*(date < selection.evicted_before for date in dates)))
    if selection.persistent is not None:
        flags = or_(*(data.c[storage.column("persistent")] for storage in Storage))
        conditions.append(flags if selection.persistent else ~flags)
    return conditions
