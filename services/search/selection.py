"""Which of the products of a type serve a period: the selection policies of the processors' task tables."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, literal_column, select, union_all

from refsys.services.catalogue.tables import INVALID, VALID, Product
from refsys.services.search.policies import COVERING, INTERSECTING, MANY, Policy

Condition = ColumnElement[bool]
TABLE = Product.__table__
# Constants are written out where an index has them in its expression or condition.
_BOUNDS: ColumnElement[str] = literal_column("'[]'")
IS_VALID = Product.state == literal_column(f"'{VALID}'")
IS_INVALID = Product.state == literal_column(f"'{INVALID}'")
_VALIDITY = func.tstzrange(Product.content_start, Product.content_end, _BOUNDS)
_NEWEST = (Product.generated.desc().nulls_last(), Product.content_start.desc(), Product.name.desc())
_ORDER = {
    Policy.COVER: (Product.content_start, Product.name),
    Policy.LATEST_COVER: _NEWEST,
    Policy.CLOSEST_COVER: (Product.content_start.desc(), *_NEWEST),
    Policy.LATEST_INTERSECT: _NEWEST,
    Policy.INTERSECT: (Product.content_start, Product.name),
    Policy.LATEST: (Product.content_start.desc(), *_NEWEST),
    Policy.LATEST_START: (Product.content_start.desc(), *_NEWEST),
    Policy.LATEST_STOP: (Product.content_end.desc(), *_NEWEST),
}


def intersecting(start: datetime, stop: datetime) -> Condition:
    """Valid in some of a period."""
    return IS_VALID & _VALIDITY.op("&&")(func.tstzrange(start, stop, _BOUNDS))


def covering(start: datetime, stop: datetime) -> Condition:
    """Valid over the whole of a period."""
    return IS_VALID & _VALIDITY.op("@>")(func.tstzrange(start, stop, _BOUNDS))


def selected(policy: Policy, start: datetime, stop: datetime, conditions: Sequence[Condition]) -> Select[tuple[object]]:
    """The statement that selects products by a policy; all but those of `MANY` find one product or none."""
    match policy:
        case Policy.CLOSEST | Policy.CLOSEST_START | Policy.CLOSEST_STOP:
            return _closest(policy, start + (stop - start) / 2, conditions)
        case Policy.CENTRED_COVER:
            margin = func.least(start - Product.content_start, Product.content_end - stop)
            order: tuple[Any, ...] = (margin.desc(), *_NEWEST)
        case Policy.LARGEST_OVERLAP:
            overlap = func.least(Product.content_end, stop) - func.greatest(Product.content_start, start)
            order = (overlap.desc(), *_NEWEST)
        case _:
            order = _ORDER[policy]
    statement = select(TABLE).where(*_validity(policy, start, stop), *conditions).order_by(*order)
    return statement if policy in MANY else statement.limit(1)


def _validity(policy: Policy, start: datetime, stop: datetime) -> tuple[Condition, ...]:
    if policy in COVERING:
        return (covering(start, stop),)
    return (intersecting(start, stop),) if policy in INTERSECTING else (IS_VALID,)


def _closest(policy: Policy, middle: datetime, conditions: Sequence[Condition]) -> Select[tuple[object]]:
    """The nearest before and the nearest after, of which the nearer; each is one step in an index."""
    valid = (IS_VALID, *conditions)
    newest = Product.generated.desc().nulls_last()
    before, after = {
        Policy.CLOSEST: (Product.content_end, Product.content_start),
        Policy.CLOSEST_START: (Product.content_start, Product.content_start),
        Policy.CLOSEST_STOP: (Product.content_end, Product.content_end),
    }[policy]
    sides = [
        select(Product.id, before.label("at")).where(before <= middle, *valid).order_by(before.desc(), newest),
        select(Product.id, after.label("at")).where(after > middle, *valid).order_by(after, newest),
    ]
    if policy is Policy.CLOSEST:
        there = select(Product.id, literal(middle).label("at")).where(covering(middle, middle), *conditions)
        sides.append(there.order_by(newest))
    nearest = union_all(*(select(side.limit(1).subquery()) for side in sides)).subquery()
    distance = func.abs(func.extract("epoch", nearest.c.at - middle))
    return select(TABLE).join(nearest, nearest.c.id == Product.id).order_by(distance).limit(1)
