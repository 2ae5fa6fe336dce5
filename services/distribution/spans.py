"""Conditions taken apart: the whole periods that they let through by a date, what is beside these, and all else."""

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeGuard

from sqlalchemy import Column, and_, true
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, BooleanClauseList, ColumnElement

from refsys.services.distribution.model import product

# Long enough to be few, short enough that their parts at the ends of a span are quickly counted.
PERIOD, ORIGIN = timedelta(days=30), datetime(2000, 1, 1, tzinfo=UTC)
BEGINNING, END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_DATES = (product.c.content_start, product.c.publication_date)
_ALL_DATES = (*_DATES, product.c.content_end, product.c.origin_date, product.c.eviction_date)
_YEARS = range(1900, 2200)  # beyond them a period may lie outside of what a datetime can be
_LOWER, _UPPER = (operator.gt, operator.ge), (operator.lt, operator.le)

Condition = ColumnElement[bool]
Bound = BinaryExpression[bool]


@dataclass(frozen=True)
class Span:
    """The periods from `first` to before `last`, `others` to hold in them, and the conditions of the `ends`.

    Without a `date` everything counts for one period, and there are no ends.
    """

    others: Condition
    date: Column[datetime] | None
    first: datetime
    last: datetime
    ends: Sequence[Condition]

    def within(self, first: datetime, last: datetime) -> Condition:
        """Return the condition that a product counts for periods from `first` to before `last`."""
        if self.date is None:
            return self.others
        after = self.date >= first if first > BEGINNING else self.date.is_not(None)
        before = self.date < last if last < END else self.date.is_not(None)
        return and_(self.others, after, before)


def span_of(condition: Condition) -> Span:
    """Take a condition apart by the only date that it is about, if whole periods lie within its bounds."""
    parts = list(_conjuncts(condition))
    for date in _DATES:
        bounds = [part for part in parts if _is_bound(part, date)]
        lower = [part for part in bounds if part.operator in _LOWER]
        upper = [part for part in bounds if part.operator in _UPPER]
        others = [part for part in parts if not _is_bound(part, date)]
        first = max((_period_after(part) for part in lower), default=BEGINNING)
        last = min((_period(_value(part)) for part in upper), default=END)
        if bounds and first < last and not any(map(_is_about_dates, others)):
            ends = [and_(condition, date < first)] if lower else []
            ends += [and_(condition, date >= last)] if upper else []
            return Span(and_(true(), *others), date, first, last, ends)
    return Span(condition, None, BEGINNING, END, ())


def _conjuncts(condition: Condition) -> Iterator[Condition]:
    if isinstance(condition, BooleanClauseList) and condition.operator is operator.and_:
        for part in condition.clauses:
            yield from _conjuncts(part)
    else:
        yield condition


def _is_bound(part: Condition, date: Column[datetime]) -> TypeGuard[Bound]:
    return (
        isinstance(part, BinaryExpression)
        and part.left is date
        and part.operator in _LOWER + _UPPER
        and isinstance(part.right, BindParameter)
        and isinstance(part.right.value, datetime)
        and part.right.value.year in _YEARS
    )


def _is_about_dates(part: Condition) -> bool:
    return any(element is date for element in visitors.iterate(part) for date in _ALL_DATES)


def _value(bound: Bound) -> datetime:
    value: datetime = bound.right.value
    return value.astimezone(UTC)


def _period(moment: datetime) -> datetime:
    """The beginning of the period of a moment."""
    return ORIGIN + (moment - ORIGIN) // PERIOD * PERIOD


def _period_after(bound: Bound) -> datetime:
    """The first period all of which is behind a lower bound."""
    period = _period(_value(bound))
    return period if bound.operator is operator.ge and period == _value(bound) else period + PERIOD
