"""Entity sets read from and written to PostgreSQL, with the limits and error messages of the Products."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, func, select
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.odata.entities import EntitySet, SetQuery
from refsys.services.distribution.odata.errors import ODataError, bad_option
from refsys.services.distribution.repository import Page, Products


class Entities(Products):
    """Entity sets beside Products. Safe for use by several threads."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that is committed at the end; database errors become OData errors."""
        with self._connection() as connection, connection.begin():
            yield connection

    def select(self, entity_set: EntitySet, query: SetQuery, *scope: ColumnElement[bool]) -> Page:
        """Return the page of a query, of the rows within `scope`."""
        table = entity_set.table
        conditions = list(scope) if query.condition is None else [*scope, query.condition]
        statement = select(table).where(*conditions).order_by(*query.order).offset(query.skip).limit(query.top + 1)
        with self._connection() as connection:
            rows = connection.execute(statement).mappings().all() if query.top else []
            total = None
            if query.count:
                total = connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one()
        return Page(rows[: query.top], len(rows) > query.top, total)

    def number(self, entity_set: EntitySet, query: SetQuery, *scope: ColumnElement[bool]) -> int:
        """Return how many rows within `scope` satisfy a query."""
        conditions = list(scope) if query.condition is None else [*scope, query.condition]
        with self._connection() as connection:
            statement = select(func.count()).select_from(entity_set.table).where(*conditions)
            return connection.execute(statement).scalar_one()

    def one(self, entity_set: EntitySet, key: str, *scope: ColumnElement[bool]) -> RowMapping:
        """Return a row by its Id.

        Raises:
            ODataError: 400 for a key that is no GUID, 404 if there is no such row within `scope`.
        """
        table, entity_id = entity_set.table, guid(entity_set.name, key)
        with self._connection() as connection:
            row = connection.execute(select(table).where(table.c.id == entity_id, *scope)).mappings().first()
        return found(row, entity_set.name, entity_id)


def found(row: RowMapping | None, entity_set: str, entity_id: UUID) -> RowMapping:
    """Return the row, or raise the 404 that says which one is missing."""
    if row is None:
        raise ODataError(404, "NotFound", f"{entity_set} has nothing with the Id {entity_id}")
    return row


def guid(entity_set: str, key: str) -> UUID:
    """Return the key in an address as a GUID; raises the 400 if it is none."""
    try:
        return UUID(key.strip("'"))
    except ValueError as error:
        raise bad_option(f"{entity_set}(<Id>)", f"'{key[:60]}' is not a GUID") from error


def page_body(
    name: str, page: Page, values: list[dict[str, Any]], *, url: str, pairs: list[tuple[str, str]], query: SetQuery
) -> Mapping[str, Any]:
    """Return the JSON of a page; `url` is the public address of the set."""
    body: dict[str, Any] = {"@odata.context": f"$metadata#{name}"}
    if page.count is not None:
        body["@odata.count"] = page.count
    body["value"] = values
    if page.more:
        body["@odata.nextLink"] = query.next_link(url, pairs)
    return body
