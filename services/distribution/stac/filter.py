"""CQL2 JSON (OGC 21-065r2) to one SQLAlchemy condition over `distribution.product`.

Every constant of the client becomes a bound parameter. What has no value satisfies no comparison, as in CQL2.
"""

import operator
from collections.abc import Callable
from typing import Any

from sqlalchemy import and_, false, func, not_, or_, true
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.stac import geometry, temporal
from refsys.services.distribution.stac.errors import bad_request
from refsys.services.distribution.stac.operands import Operand, constant, equals, operand
from refsys.services.distribution.stac.properties import Kind

MAX_OPERATIONS = 500
MAX_VALUES = 10_000

Condition = ColumnElement[bool]
Json = Any

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
SPATIAL = {
    "s_intersects": func.ST_Intersects,
    "s_disjoint": func.ST_Disjoint,
    "s_within": func.ST_Within,
    "s_contains": func.ST_Contains,
    "s_touches": func.ST_Touches,
    "s_crosses": func.ST_Crosses,
    "s_overlaps": func.ST_Overlaps,
    "s_equals": func.ST_Equals,
}


def where(filter_json: Json) -> Condition:
    """Return the condition of a filter.

    Raises:
        ODataError: 400 that names what is wrong with the filter.
    """
    try:
        return _Translation().condition(filter_json)
    except RecursionError as error:
        raise bad_request("filter", "is nested too deeply: use fewer levels, or `in` for lists") from error


class _Translation:
    """Translates one filter, counting its operations."""

    def __init__(self) -> None:
        self._operations = 0
        self._negated = False

    def condition(self, node: Json) -> Condition:
        """Return the SQL of a node that has to be true or false."""
        if isinstance(node, bool):
            return true() if node else false()
        if isinstance(node, dict) and "property" in node:
            found = operand(node)
            if found.kind is not Kind.BOOLEAN:
                raise bad_request("filter", f"{found.label} is not true or false: compare it with a value")
            condition: Condition = found.sql
            return condition
        name, arguments = _operation(node)
        self._operations += 1
        if self._operations > MAX_OPERATIONS:
            raise bad_request("filter", f"has more than {MAX_OPERATIONS} operations: use `in` for lists")
        if name in {"and", "or"}:
            if not arguments:
                raise bad_request("filter", f"{name} needs conditions")
            return (and_ if name == "and" else or_)(*(self.condition(each) for each in arguments))
        if name == "not":
            return self._not(_exactly(name, arguments, 1)[0])
        if name == "=" and not self._negated and (pair := _with_constant(arguments)):
            return equals(*pair)
        return _predicate(name, arguments)

    def _not(self, node: Json) -> Condition:
        # The search in the index of all attributes tells "not there" as false, not as unknown.
        before, self._negated = self._negated, True
        condition = not_(self.condition(node))
        self._negated = before
        return condition


def _predicate(name: str, arguments: list[Json]) -> Condition:
    if name in _OTHERS:
        return _OTHERS[name](name, arguments)
    left, right = _exactly(name, arguments, 2) if name in _TWO_SIDED else (None, None)
    if name in COMPARISONS:
        return _comparison(name, left, right)
    if name in SPATIAL:
        return _spatial(name, left, right)
    if name in temporal.FUNCTIONS:
        return temporal.condition(name, left, right)
    raise bad_request("filter", f"the operation {ascii(name)[:60]} is not supported")


def _is_null(name: str, arguments: list[Json]) -> Condition:
    condition: Condition = operand(_exactly(name, arguments, 1)[0]).sql.is_(None)
    return condition


def _comparison(name: str, left: Json, right: Json) -> Condition:
    if not _is_operand(left):
        left, right, name = right, left, MIRRORED[name]
    found = operand(left)
    if found.kind is Kind.GEOMETRY:
        raise bad_request("filter", f"{found.label} is a geometry: use s_intersects or another spatial function")
    if found.kind is Kind.BOOLEAN and name not in {"=", "<>"}:
        raise bad_request("filter", f"{found.label} is true or false: it has no order")
    condition: Condition = COMPARISONS[name](found.sql, _other(found, right))
    return condition


def _with_constant(arguments: list[Json]) -> tuple[Operand, Json] | None:
    """Return property and constant of a comparison, whichever comes first."""
    match arguments:
        case [left, right] if _is_operand(left) != _is_operand(right):
            found, value = (operand(left), right) if _is_operand(left) else (operand(right), left)
            return None if found.kind is Kind.GEOMETRY else (found, value)
    return None


def _other(found: Operand, node: Json) -> Any:
    if not _is_operand(node):
        return constant(found, node)
    other = operand(node)
    if other.kind is not found.kind:
        raise bad_request("filter", f"{found.label} is {found.kind}, {other.label} is {other.kind}")
    return other.sql


def _like(name: str, arguments: list[Json]) -> Condition:
    value, pattern = _exactly(name, arguments, 2)
    found = operand(value)
    if found.kind is not Kind.TEXT:
        raise bad_request("filter", f"{found.label} is {found.kind}: like needs a text")
    text = constant(found, pattern)
    if not isinstance(text, str):
        raise bad_request("filter", "like needs a pattern")
    condition: Condition = found.sql.like(text, escape="\\")
    return condition


def _between(name: str, arguments: list[Json]) -> Condition:
    # The standard has three arguments; drafts that clients still write have the bounds as a list.
    if len(arguments) == 2 and isinstance(arguments[1], list):
        arguments = [arguments[0], *arguments[1]]
    value, low, high = _exactly(name, arguments, 3)
    found = operand(value)
    if found.kind not in {Kind.NUMBER, Kind.TEXT, Kind.MOMENT, Kind.STORED_DATE}:
        raise bad_request("filter", f"{found.label} is {found.kind}: it has no order")
    return and_(found.sql >= _other(found, low), found.sql <= _other(found, high))


def _in(name: str, arguments: list[Json]) -> Condition:
    value, values = _exactly(name, arguments, 2)
    if not isinstance(values, list) or len(values) > MAX_VALUES:
        raise bad_request("filter", f"in needs a list of at most {MAX_VALUES} values")
    found = operand(value)
    if found.kind is Kind.GEOMETRY:
        raise bad_request("filter", f"{found.label} is a geometry: in does not fit")
    condition: Condition = found.sql.in_([constant(found, each) for each in values])
    return condition


def _spatial(name: str, left: Json, right: Json) -> Condition:
    sides = [_area(left), _area(right)]
    condition: Condition = SPATIAL[name](*sides)
    return condition


def _area(node: Json) -> Any:
    if isinstance(node, dict) and "property" in node:
        found = operand(node)
        if found.kind is not Kind.GEOMETRY:
            raise bad_request("filter", f"{found.label} is not a geometry")
        return found.sql
    if isinstance(node, dict) and "bbox" in node:
        return geometry.envelope("filter", node["bbox"])
    return geometry.shape("filter", node)


def _operation(node: Json) -> tuple[str, list[Json]]:
    if not isinstance(node, dict) or not isinstance(node.get("op"), str) or not isinstance(node.get("args"), list):
        raise bad_request("filter", 'a condition has the form {"op": "…", "args": […]}')
    name: str = node["op"]
    return name.lower(), node["args"]


def _exactly(name: str, arguments: list[Json], count: int) -> list[Json]:
    if len(arguments) != count:
        raise bad_request("filter", f"{name} has {count} arguments, here are {len(arguments)}")
    return arguments


def _is_operand(node: Json) -> bool:
    match node:
        case {"property": _} | {"op": "casei", "args": [{"property": _}]}:
            return True
    return False


_TWO_SIDED = COMPARISONS.keys() | SPATIAL.keys() | temporal.FUNCTIONS.keys()
_OTHERS: dict[str, Callable[[str, list[Json]], Condition]] = {
    "isnull": _is_null,
    "like": _like,
    "between": _between,
    "in": _in,
}
