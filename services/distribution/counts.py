"""Exact counts of products, cheap when asked again, for other dates too.

Publication dates rise in the order in which products become visible, so a count holds for all products up to the
newest publication date that its statement saw; later only the newer ones are counted. `distribution.revision`
changes in the transaction that changes or removes a product, and makes all remembered counts void.

What is remembered are the products of each month: clients ask the same with another date each time, and then only the
parts of months at the ends are new.
"""

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Dialect, func, select
from sqlalchemy.dialects import postgresql

from refsys.services.distribution.model import product, revision
from refsys.services.distribution.spans import BEGINNING, Condition, Span, span_of

ENTRIES = 500
_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
_published = product.c.publication_date


@dataclass
class _Months:
    """How many products of each month from `first` to before `last` there are up to a publication date."""

    revision: int
    until: datetime
    first: datetime = BEGINNING
    last: datetime = BEGINNING
    products: Counter[datetime] = field(default_factory=Counter)

    def count(self, span: Span) -> int:
        return sum(number for month, number in self.products.items() if span.first <= month < span.last)

    def missing(self, span: Span) -> list[tuple[datetime, datetime]]:
        """The months to count, so that without a gap all of the span are known."""
        if self.first == self.last:
            return [(span.first, span.last)]
        before, after = (span.first, self.first), (self.last, span.last)
        return [(first, last) for first, last in (before, after) if first < last]


class Counts:
    """Counts by condition. Safe for use by several threads; right beside any number of other processes."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._known: OrderedDict[bytes, _Months] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, connection: Connection, condition: Condition) -> int:
        """Return how many products satisfy `condition`."""
        span = span_of(condition)
        key = _key(span)
        with self._lock:
            known = self._known.get(key)
        months = _renewed(connection, span, known)
        with self._lock:
            self._known[key] = months
            self._known.move_to_end(key)
            while len(self._known) > ENTRIES:
                self._known.popitem(last=False)
        return months.count(span) + _number(connection, span.ends, months.until)


def _renewed(connection: Connection, span: Span, known: _Months | None) -> _Months:
    """What is known of the months of the span and of those that were known, as of now."""
    newest = select(func.max(_published)).scalar_subquery()
    now = connection.execute(select(revision.c.number, newest.label("until"))).one()
    months = _Months(now.number, now.until or BEGINNING)
    if known is not None and known.revision == now.number:
        months.first, months.last = known.first, known.last
        months.products = known.products.copy()
        if known.until < months.until:
            newer = span.within(months.first, months.last) & (_published > known.until)
            months.products += _by_month(connection, span, newer, months.until)
    for first, last in months.missing(span):
        months.products += _by_month(connection, span, span.within(first, last), months.until)
    if months.first == months.last:
        months.first, months.last = span.first, span.last
    months.first, months.last = min(months.first, span.first), max(months.last, span.last)
    return months


def _by_month(connection: Connection, span: Span, condition: Condition, until: datetime) -> Counter[datetime]:
    if span.date is None:
        return Counter({BEGINNING: _number(connection, [condition], until)})
    month = func.date_trunc("month", span.date, "UTC").label("month")
    statement = select(month, func.count()).where(condition, _published <= until).group_by(month)
    return Counter(dict(connection.execute(statement).tuples().all()))


def _number(connection: Connection, conditions: Sequence[Condition], until: datetime) -> int:
    """How many products satisfy one of these conditions, of which none satisfies two."""
    if not conditions:
        return 0
    products = select(func.count()).select_from(product)
    counts = [products.where(each, _published <= until).scalar_subquery() for each in conditions]
    return sum(connection.execute(select(*counts)).one())


def _key(span: Span) -> bytes:
    """Return a digest that is the same for the same conditions beside the dates' bounds."""
    compiled = span.others.compile(dialect=_DIALECT)
    text = f"{span.date}\0{compiled.string}\0{sorted(compiled.params.items(), key=lambda item: item[0])!r}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
