"""Which of the products of a type serve a period: the selection policies of the processors' task tables."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, func, literal_column, select, union_all

from refsys.services.catalogue.tables import INVALID, VALID, Product


class Policy(StrEnum):
    """How products are chosen for a period.

    `LatestValCover` the newest made of those valid over the whole period, `LatestValIntersect` of those valid in
    some of it, `ValIntersect` all of these; `LatestStartValidity` and `LatestStopValidity` the one of these that
    starts or stops last; `ClosestStartValidity` and `ClosestStopValidity` the one whose start or stop is nearest to
    the middle of the period.
    """

    LATEST_COVER = "LatestValCover"
    LATEST_INTERSECT = "LatestValIntersect"
    INTERSECT = "ValIntersect"
    LATEST_START = "LatestStartValidity"
    LATEST_STOP = "LatestStopValidity"
    CLOSEST_START = "ClosestStartValidity"
    CLOSEST_STOP = "ClosestStopValidity"


Condition = ColumnElement[bool]
TABLE = Product.__table__
# Constants are written out where an index has them in its expression or condition.
_BOUNDS: ColumnElement[str] = literal_column("'[]'")
IS_VALID = Product.state == literal_column(f"'{VALID}'")
IS_INVALID = Product.state == literal_column(f"'{INVALID}'")
_VALIDITY = func.tstzrange(Product.content_start, Product.content_end, _BOUNDS)
_NEWEST = (Product.generated.desc().nulls_last(), Product.content_start.desc(), Product.name.desc())
_ORDER = {
    Policy.LATEST_COVER: _NEWEST,
    Policy.LATEST_INTERSECT: _NEWEST,
    Policy.INTERSECT: (Product.content_start, Product.name),
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
    """The statement that selects products by a policy; all but `ValIntersect` find one product or none."""
    if policy in (Policy.CLOSEST_START, Policy.CLOSEST_STOP):
        return _closest(policy, start + (stop - start) / 2, conditions)
    valid = covering(start, stop) if policy is Policy.LATEST_COVER else intersecting(start, stop)
    statement = select(TABLE).where(valid, *conditions).order_by(*_ORDER[policy])
    return statement if policy is Policy.INTERSECT else statement.limit(1)


def _closest(policy: Policy, middle: datetime, conditions: Sequence[Condition]) -> Select[tuple[object]]:
    """The nearest before and the nearest after, of which the nearer; each is one step in an index."""
    column = Product.content_start if policy is Policy.CLOSEST_START else Product.content_end
    valid = (IS_VALID, *conditions)
    before = select(Product.id, column.label("at")).where(column <= middle, *valid)
    after = select(Product.id, column.label("at")).where(column > middle, *valid)
    nearest = union_all(
        select(before.order_by(column.desc(), Product.generated.desc().nulls_last()).limit(1).subquery()),
        select(after.order_by(column, Product.generated.desc().nulls_last()).limit(1).subquery()),
    ).subquery()
    distance = func.abs(func.extract("epoch", nearest.c.at - middle))
    return select(TABLE).join(nearest, nearest.c.id == Product.id).order_by(distance).limit(1)
