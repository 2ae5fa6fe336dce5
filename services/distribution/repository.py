"""What the PRIP reads from `distribution.product`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Engine, RowMapping, event, func, select
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.common.logs import get_logger
from refsys.services.distribution.model import product
from refsys.services.distribution.odata.errors import ODataError, bad_filter
from refsys.services.distribution.odata.query import Query

STATEMENT_SECONDS = 30
_LARGE = {"attributes", "trace"}
_SCALARS = [column for column in product.c if column.name not in _LARGE]

log = get_logger()


@dataclass(frozen=True)
class Page:
    """One page of products; `count` is that of all matching ones, if asked for."""

    rows: Sequence[RowMapping]
    more: bool
    count: int | None


class Products:
    """The published products. Safe for use by several threads."""

    def __init__(self, engine: Engine) -> None:
        """Limit the time of each statement, and let PostgreSQL plan each with its values."""
        self._engine = engine

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _record: object) -> None:
            driver: psycopg.Connection[Any] = connection
            driver.prepare_threshold = None  # a plan without the values cannot use prefix and partial indexes
            with driver.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
            driver.commit()

    def page(self, query: Query) -> Page:
        """Return the page of a query."""
        columns = list(product.c) if "Attributes" in query.expand else _SCALARS
        columns = [column for column in columns if column.name != "trace"]
        statement = select(*columns).order_by(*query.order).offset(query.skip).limit(query.top + 1)
        if query.condition is not None:
            statement = statement.where(query.condition)
        with self._connection() as connection:
            rows = connection.execute(statement).mappings().all() if query.top else []
            count = self._count(connection, query.condition) if query.count else None
        return Page(rows[: query.top], len(rows) > query.top, count)

    def count(self, condition: ColumnElement[bool] | None) -> int:
        """Return how many products satisfy a condition."""
        with self._connection() as connection:
            return self._count(connection, condition)

    def by_id(self, product_id: UUID) -> RowMapping:
        """Return a product.

        Raises:
            ODataError: 404 if there is none.
        """
        with self._connection() as connection:
            row = connection.execute(select(product).where(product.c.id == product_id)).mappings().first()
        if row is None:
            raise ODataError(404, "NotFound", f"no product has the Id {product_id}")
        return row

    def trace(self, name: str) -> RowMapping:
        """Return the timeline of a product by its name; 404 as `by_id`."""
        columns = (product.c.id, product.c.name, product.c.mission, product.c.trace)
        with self._connection() as connection:
            row = connection.execute(select(*columns).where(product.c.name == name)).mappings().first()
        if row is None:
            raise ODataError(404, "NotFound", f"no product named {name!r} is published")
        return row

    def check(self) -> None:
        """Raise an `ODataError` if the database does not answer."""
        with self._connection() as connection:
            connection.execute(select(1))

    def _count(self, connection: Connection, condition: ColumnElement[bool] | None) -> int:
        statement = select(func.count()).select_from(product)
        if condition is not None:
            statement = statement.where(condition)
        return connection.execute(statement).scalar_one()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise _explained(error) from error
        except PoolTimeoutError as error:
            raise _unavailable("the service is busy: try again") from error


def _explained(error: DBAPIError) -> Exception:
    match error.orig:
        case psycopg.errors.QueryCanceled():
            return ODataError(
                503,
                "QueryTimeout",
                f"the query took more than {STATEMENT_SECONDS} s: narrow it, for instance by PublicationDate",
                {"Retry-After": "30"},
            )
        case psycopg.errors.InvalidRegularExpression() as wrong:
            return bad_filter(f"matchesPattern: {wrong.diag.message_primary}")
    if isinstance(error, DataError):
        return bad_filter(f"$filter: {str(error.orig).splitlines()[0]}")
    if isinstance(error, OperationalError | InterfaceError):
        log.error("database does not answer", error=str(error.orig))
        return _unavailable("the database does not answer: try again")
    return error


def _unavailable(message: str) -> ODataError:
    return ODataError(503, "Unavailable", message, {"Retry-After": "10"})
