"""Exact counts of products, cheap when asked again.

Publication dates rise in the order in which products become visible, so a count holds for all products up to the
newest publication date that its statement saw; later only the newer ones are counted. `distribution.revision`
changes in the transaction that changes or removes a product, and makes all remembered counts void.
"""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Dialect, case, func, literal, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import product, revision

ENTRIES = 2000
_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Counted:
    """How many products satisfied a condition up to a publication date, at a revision of the table."""

    products: int
    until: datetime
    revision: int


_NOTHING = _Counted(0, _BEGINNING, -1)


class Counts:
    """Counts by condition. Safe for use by several threads; right beside any number of other processes."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._known: OrderedDict[bytes, _Counted] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, connection: Connection, condition: ColumnElement[bool]) -> int:
        """Return how many products satisfy `condition`, as one statement sees them."""
        key = _key(condition)
        with self._lock:
            known = self._known.get(key, _NOTHING)
        counted = _counted(connection, condition, known)
        with self._lock:
            self._known[key] = counted
            self._known.move_to_end(key)
            while len(self._known) > ENTRIES:
                self._known.popitem(last=False)
        return counted.products


def _counted(connection: Connection, condition: ColumnElement[bool], known: _Counted) -> _Counted:
    everything = select(func.count()).select_from(product).where(condition)
    newer = everything.where(product.c.publication_date > known.until)
    newest = select(func.max(product.c.publication_date)).scalar_subquery()
    found: ColumnElement[int] = everything.scalar_subquery()
    if known is not _NOTHING:
        remembered = literal(known.products) + newer.scalar_subquery()
        found = case((revision.c.number == known.revision, remembered), else_=found)
    row = connection.execute(select(revision.c.number, newest.label("until"), found.label("products"))).one()
    return _Counted(row.products, row.until or _BEGINNING, row.number)


def _key(condition: ColumnElement[bool]) -> bytes:
    """Return a digest that is the same for the same condition with the same values."""
    compiled = condition.compile(dialect=_DIALECT)
    text = f"{compiled.string}\0{sorted(compiled.params.items(), key=lambda item: item[0])!r}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
