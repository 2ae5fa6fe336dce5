"""Exact counts of products, cheap when asked again, for other dates too.

Publication dates rise in the order in which products become visible, so a count holds for all products up to the
newest publication date that its statement saw; later only the newer ones are counted. `distribution.revision`
changes in the transaction that changes or removes a product, and makes all remembered counts void.

What is remembered are the products of each period: clients ask the same with another date each time, and then only the
parts of periods at the ends are new.
"""

import hashlib
import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, Dialect, ScalarSelect, cast, func, select
from sqlalchemy.dialects import postgresql

from refsys.services.distribution.model import product, revision
from refsys.services.distribution.spans import BEGINNING, END, ORIGIN, PERIOD, Condition, Span, span_of

ENTRIES = 500
_DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
_published = product.c.publication_date


@dataclass
class _Periods:
    """How many products of each period from `first` to before `last` there are up to a publication date."""

    revision: int
    until: datetime
    first: datetime
    last: datetime
    products: Counter[datetime] = field(default_factory=Counter)

    def count(self, span: Span) -> int:
        return sum(number for period, number in self.products.items() if span.first <= period < span.last)

    def missing(self, span: Span) -> list[tuple[datetime, datetime]]:
        """The periods to count, so that without a gap all of the span are known."""
        if self is _NOTHING:
            return [(span.first, span.last)]
        before, after = (span.first, self.first), (self.last, span.last)
        return [(first, last) for first, last in (before, after) if first < last]


_NOTHING = _Periods(-1, BEGINNING, END, BEGINNING)


class Counts:
    """Counts by condition. Safe for use by several threads; right beside any number of other processes."""

    def __init__(self) -> None:
        """Nothing is remembered yet."""
        self._known: OrderedDict[bytes, _Periods] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, connection: Connection, condition: Condition) -> int:
        """Return how many products satisfy `condition`, as one statement sees them."""
        span = span_of(condition)
        key = _key(span)
        with self._lock:
            known = self._known.get(key, _NOTHING)
        periods, ends = _counted(connection, span, known)
        with self._lock:
            self._known[key] = periods
            self._known.move_to_end(key)
            while len(self._known) > ENTRIES:
                self._known.popitem(last=False)
        return periods.count(span) + ends


def _counted(connection: Connection, span: Span, known: _Periods) -> tuple[_Periods, int]:
    """What is known then of the periods, and how many products are in the span's ends."""
    ranges = [span.within(first, last) for first, last in known.missing(span)]
    if known is not _NOTHING:
        ranges.append(span.within(known.first, known.last) & (_published > known.until))
    newest = select(func.max(_published)).scalar_subquery()
    ends = [select(func.count()).select_from(product).where(end).scalar_subquery() for end in span.ends]
    statement = select(revision.c.number, newest, *ends, *(_by_period(span, each) for each in ranges))
    number, until, *found = connection.execute(statement).one()
    if known is not _NOTHING and known.revision != number:  # products changed: what was known is void
        return _counted(connection, span, _NOTHING)
    products = known.products.copy()
    for range_of_periods in found[len(ends) :]:
        products.update({datetime.fromtimestamp(int(at), UTC): each for at, each in (range_of_periods or {}).items()})
    first, last = min(known.first, span.first), max(known.last, span.last)
    return _Periods(number, until or BEGINNING, first, last, products), sum(found[: len(ends)])


def _by_period(span: Span, condition: Condition) -> ScalarSelect[Any]:
    """The number of products of each period, as an object by the seconds of its beginning since 1970."""
    if span.date is None:
        counted = select(func.count()).select_from(product).where(condition).scalar_subquery()
        return select(func.jsonb_build_object("0", counted)).scalar_subquery()
    period = func.date_bin(PERIOD, span.date, ORIGIN).label("period")
    periods = select(period, func.count().label("products")).where(condition).group_by(period).subquery()
    seconds = cast(func.extract("epoch", periods.c.period), BigInteger)
    return select(func.jsonb_object_agg(seconds, periods.c.products)).scalar_subquery()


def _key(span: Span) -> bytes:
    """Return a digest that is the same for the same conditions beside the dates' bounds."""
    compiled = span.others.compile(dialect=_DIALECT)
    text = f"{span.date}\0{compiled.string}\0{sorted(compiled.params.items(), key=lambda item: item[0])!r}"
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()
