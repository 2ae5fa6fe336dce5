"""Sensing periods: what a pair of conditions on `ContentDate/Start` and `ContentDate/End` implies.

The planner takes the two columns for independent, expects far too many products and reads the table in the
order of publication. One condition on the period as a range has an index and true statistics.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import cast

from odata_query import ast
from sqlalchemy import DateTime, bindparam, func, literal_column
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import product
from refsys.services.distribution.odata.operands import Kind, Literal

_AFTER, _BEFORE = (ast.Gt, ast.GtE), (ast.Lt, ast.LtE)
_CLOSED: ColumnElement[str] = literal_column("'[]'")


def implied(parts: Iterable[ast._Node]) -> list[ColumnElement[bool]]:
    """Return conditions on the period that follow from the parts of a conjunction."""
    bounds = dict(filter(None, (_bound(part) for part in parts)))
    period = func.tstzrange(product.c.content_start, product.c.content_end, _CLOSED)
    conditions: list[ColumnElement[bool]] = []
    within = bounds.get(("Start", "after")), bounds.get(("End", "before"))
    if (window := _window(*within)) is not None:
        conditions.append(period.op("<@", is_comparison=True)(window))
        conditions.append(product.c.content_start <= within[1])  # no period ends before it starts
    touching = bounds.get(("End", "after")), bounds.get(("Start", "before"))
    if (window := _window(*touching)) is not None:
        conditions.append(period.op("&&", is_comparison=True)(window))
    return conditions


def _window(first: datetime | None, last: datetime | None) -> ColumnElement[object] | None:
    if first is None or last is None or first > last:
        return None
    moments = (bindparam(None, moment, type_=DateTime(timezone=True), unique=True) for moment in (first, last))
    return func.tstzrange(*moments, _CLOSED)


def _bound(node: ast._Node) -> tuple[tuple[str, str], datetime] | None:
    match node:
        case ast.Compare(
            comparator, ast.Attribute(ast.Identifier("ContentDate"), side), ast.DateTime() | ast.Date() as moment
        ) if isinstance(comparator, _AFTER + _BEFORE):
            direction = "after" if isinstance(comparator, _AFTER) else "before"
            return (side, direction), cast(datetime, Literal(moment).value(Kind.DATE))
    return None
