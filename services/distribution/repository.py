"""What the PRIP reads from `distribution.product`."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

import psycopg
from sqlalchemy import Column, Connection, Engine, RowMapping, and_, event, select, true
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.common.logs import get_logger
from refsys.services.distribution.counts import Counts
from refsys.services.distribution.model import product
from refsys.services.distribution.odata.errors import ODataError, bad_filter
from refsys.services.distribution.odata.query import Query, Shape

STATEMENT_SECONDS = 30
_LARGE = {"attributes", "trace"}

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
        self.engine = engine
        self._counts = Counts()
        self._visible: ColumnElement[bool] | None = None

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _record: object) -> None:
            driver: psycopg.Connection[Any] = connection
            driver.prepare_threshold = None  # a plan without the values cannot use prefix and partial indexes
            with driver.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
                cursor.execute("SET jit = off")  # compiling takes longer than these queries
            driver.commit()

    def seen_by(self, visible: ColumnElement[bool] | None) -> Self:
        """Return the products of which `visible` holds; for the caller there are no others."""
        seen = copy(self)
        seen._visible = visible
        return seen

    def page(self, query: Query) -> Page:
        """Return the page of a query."""
        condition = self._seen(query.condition)
        here = condition if query.after is None else and_(condition, query.after)
        statement = select(*_columns(query.shape)).where(here).order_by(*query.order)
        with self._connection() as connection:
            rows: Sequence[RowMapping] = []
            if query.top:
                rows = connection.execute(statement.offset(query.skip).limit(query.top + 1)).mappings().all()
            count = self._counts.count(connection, condition) if query.count else None
        return Page(rows[: query.top], len(rows) > query.top, count)

    def count(self, condition: ColumnElement[bool] | None) -> int:
        """Return how many products satisfy a condition."""
        with self._connection() as connection:
            return self._counts.count(connection, self._seen(condition))

    def named(self, names: Collection[str], query: Query) -> Sequence[RowMapping]:
        """Return the products with one of these names, in the order of `query`."""
        condition = self._seen(product.c.name.in_(names))
        statement = select(*_columns(query.shape)).where(condition).order_by(*query.order)
        with self._connection() as connection:
            return connection.execute(statement).mappings().all()

    def by_id(self, product_id: UUID) -> RowMapping:
        """Return a product.

        Raises:
            ODataError: 404 if there is none.
        """
        statement = select(product).where(self._seen(product.c.id == product_id))
        with self._connection() as connection:
            row = connection.execute(statement).mappings().first()
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

    def _seen(self, condition: ColumnElement[bool] | None) -> ColumnElement[bool]:
        return and_(*(each for each in (self._visible, condition) if each is not None), true())

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise explained(error) from error
        except PoolTimeoutError as error:
            raise unavailable("the service is busy: try again") from error


def _columns(shape: Shape) -> list[Column[Any]]:
    """Return the columns that a product of this shape is made of: attributes are large."""
    left_out = {"trace"} if "Attributes" in shape.expand else _LARGE
    return [column for column in product.c if column.name not in left_out]


def explained(error: DBAPIError) -> Exception:
    """Return what a client is told of an error of the database; nothing of its SQL."""
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
        return unavailable("the database does not answer: try again")
    return error


def unavailable(message: str) -> ODataError:
    """Return the 503 of a service that cannot answer now."""
    return ODataError(503, "Unavailable", message, {"Retry-After": "10"})
