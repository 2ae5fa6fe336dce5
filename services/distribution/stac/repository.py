"""What STAC reads from `distribution.product`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, literal_column, select, text
from sqlalchemy.exc import InternalError

from refsys.services.common.logs import get_logger
from refsys.services.distribution.model import product
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.repository import Products
from refsys.services.distribution.stac.collections import Collection
from refsys.services.distribution.stac.errors import bad_request, clean_text
from refsys.services.distribution.stac.paging import after, encode
from refsys.services.distribution.stac.search import Search

log = get_logger()

_UNUSED = {"bucket", "object_key", "trace", "origin_date", "production_type", "online"}
_COLUMNS = [column for column in product.c if column.name not in _UNUSED]
# The index of collections is entered once for each of them, not read through.
_COLLECTIONS = text("""
WITH RECURSIVE known AS (
  SELECT min(collection) AS id FROM distribution.product
  UNION ALL
  SELECT (SELECT min(collection) FROM distribution.product WHERE collection > known.id)
  FROM known WHERE known.id IS NOT NULL
)
SELECT id, (SELECT min(content_start) FROM distribution.product WHERE collection = known.id) AS first
FROM known WHERE id IS NOT NULL
""")


@dataclass(frozen=True)
class Page:
    """One page of a search; `next` is the token of the one after, `matched` the number of all, if counted."""

    rows: Sequence[RowMapping]
    next: str | None
    matched: int | None


class Items(Products):
    """The published products as items of collections. Safe for use by several threads."""

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        try:
            with super()._connection() as connection:
                yield connection
        except InternalError as error:
            # PostGIS tells so of shapes that a function does not take, such as collections.
            reason = str(error.orig).splitlines()[0]
            log.warning("the database refuses a search", reason=reason)
            raise bad_request("filter or intersects", f"the geometry does not fit: {reason}") from error
        except ODataError as error:
            if error.code == "InvalidFilter":
                raise bad_request("filter", error.message.removeprefix("$filter: ")) from error
            raise

    def search(self, search: Search) -> Page:
        """Return the page of a search."""
        keys = [key.queryable.sql.label(key.name) for key in search.order]
        statement = select(*_COLUMNS, *keys).where(*search.conditions)
        if search.token is not None:
            statement = statement.where(after(search.order, search.token))
        statement = statement.order_by(*(key.order for key in search.order)).limit(search.limit + 1)
        with self._connection() as connection:
            rows = connection.execute(statement).mappings().all()
            matched = None
            if search.count:
                counted = select(func.count(literal_column("*"))).select_from(product).where(*search.conditions)
                matched = connection.execute(counted).scalar_one()
        more = len(rows) > search.limit
        kept = rows[: search.limit]
        return Page(kept, encode(search.order, kept[-1]) if more else None, matched)

    def item(self, collection: str, name: str) -> RowMapping:
        """Return the product of an item; 404 if there is none in this collection."""
        statement = select(*_COLUMNS).where(
            product.c.name == clean_text("item", name), product.c.collection == clean_text("collection", collection)
        )
        with self._connection() as connection:
            row = connection.execute(statement).mappings().first()
        if row is None:
            raise ODataError(404, "NotFound", f"collection {ascii(collection)[:80]} has no item {ascii(name)[:255]}")
        return row

    def collections(self) -> list[Collection]:
        """Return the collections that hold products, by identifier."""
        with self._connection() as connection:
            return [Collection(row.id, row.first) for row in connection.execute(_COLLECTIONS)]

    def collection(self, name: str) -> Collection:
        """Return a collection; 404 if it holds no product."""
        statement = select(func.min(product.c.content_start)).where(
            product.c.collection == clean_text("collection", name)
        )
        with self._connection() as connection:
            first = connection.execute(statement).scalar_one()
        if first is None:
            raise ODataError(404, "NotFound", f"there is no collection {ascii(name)[:80]}")
        return Collection(name, first)
