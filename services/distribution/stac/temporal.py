"""Time: the parameter `datetime` of a search, and the temporal functions of CQL2 (OGC 21-065r2, 7.9)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import DateTime, and_, bindparam, func, literal_column, not_, null
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import product
from refsys.services.distribution.stac.errors import bad_request
from refsys.services.distribution.stac.operands import moment, operand
from refsys.services.distribution.stac.properties import Kind

Condition = ColumnElement[bool]
Json = Any
_CLOSED: ColumnElement[str] = literal_column("'[]'")
_FOREVER: tuple[ColumnElement[Any], ...] = (
    literal_column("'-infinity'::timestamptz"),
    literal_column("'infinity'::timestamptz"),
)


class Period(NamedTuple):
    """A period in SQL; an instant begins where it ends."""

    start: Any
    end: Any


FUNCTIONS: dict[str, Callable[[Period, Period], Condition]] = {
    "t_after": lambda a, b: a.start > b.end,
    "t_before": lambda a, b: a.end < b.start,
    "t_disjoint": lambda a, b: not_(and_(a.start <= b.end, a.end >= b.start)),
    "t_equals": lambda a, b: and_(a.start == b.start, a.end == b.end),
    "t_intersects": lambda a, b: and_(a.start <= b.end, a.end >= b.start),
    "t_contains": lambda a, b: and_(a.start < b.start, a.end > b.end),
    "t_during": lambda a, b: and_(a.start > b.start, a.end < b.end),
    "t_finishedby": lambda a, b: and_(a.start < b.start, a.end == b.end),
    "t_finishes": lambda a, b: and_(a.start > b.start, a.end == b.end),
    "t_meets": lambda a, b: a.end == b.start,
    "t_metby": lambda a, b: a.start == b.end,
    "t_overlappedby": lambda a, b: and_(a.start > b.start, a.start < b.end, a.end > b.end),
    "t_overlaps": lambda a, b: and_(a.start < b.start, a.end > b.start, a.end < b.end),
    "t_startedby": lambda a, b: and_(a.start == b.start, a.end > b.end),
    "t_starts": lambda a, b: and_(a.start == b.start, a.end < b.end),
}


def condition(name: str, left: Json, right: Json) -> Condition:
    """Return a temporal function of CQL2 as SQL."""
    return FUNCTIONS[name](_period(left), _period(right))


def within(start: datetime | None, end: datetime | None) -> Condition:
    """Return the condition `datetime` of a search: periods of products that touch the given one, open by None."""
    if start is not None and end is not None:
        window = func.tstzrange(_bound(start), _bound(end), _CLOSED)
    else:
        window = func.tstzrange(
            null() if start is None else _bound(start), null() if end is None else _bound(end), _CLOSED
        )
    period = func.tstzrange(product.c.content_start, product.c.content_end, _CLOSED)
    touches: Condition = period.op("&&", is_comparison=True)(window)
    # Said again on the column, so that the index on it can be read in order and from where it matters.
    return touches if end is None else and_(touches, product.c.content_start <= _bound(end))


def _bound(value: datetime) -> ColumnElement[datetime]:
    return bindparam(None, value, type_=DateTime(timezone=True), unique=True)


def _period(node: Json) -> Period:
    if isinstance(node, dict) and "interval" in node:
        given = node["interval"]
        if not isinstance(given, list) or len(given) != 2:
            raise bad_request("filter", "an interval has a start and an end, each perhaps '..'")
        return Period(*(_end(each, open_end) for each, open_end in zip(given, _FOREVER, strict=True)))
    instant = _end(node, None)
    return Period(instant, instant)


def _end(node: Json, open_end: Any) -> Any:
    if node == ".." and open_end is not None:
        return open_end
    if isinstance(node, dict) and ("property" in node or "op" in node):
        found = operand(node)
        if found.kind is not Kind.MOMENT:
            raise bad_request("filter", f"{found.label} is {found.kind}, not a moment in time")
        return found.sql
    return _bound(moment(node))
