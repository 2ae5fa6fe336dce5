"""Operands of a CQL2 comparison: a property, perhaps in lower case, and the constants that fit its type."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import cast, false, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import product
from refsys.services.distribution.odata.operands import stored_date
from refsys.services.distribution.stac.errors import bad_request, clean_text, finite
from refsys.services.distribution.stac.properties import Kind, Property, find, has_index

Json = Any
Scalar = str | int | float | Decimal | bool | datetime


@dataclass(frozen=True)
class Operand:
    """A property as SQL; `lower` if it is compared without regard to case."""

    queryable: Property
    lower: bool = False

    @property
    def label(self) -> str:
        """The property as shown in messages."""
        return self.queryable.name

    @property
    def kind(self) -> Kind:
        """The type that it is compared as."""
        return self.queryable.kind

    @property
    def sql(self) -> ColumnElement[Any]:
        """Its value as SQL, as STAC shows it."""
        stored = self.queryable.sql
        shown = (self.queryable.prefix + stored).collate("C") if self.queryable.prefix else stored
        return func.lower(shown).collate("C") if self.lower else shown


def operand(node: Json) -> Operand:
    """Return the operand of `{"property": …}` or `{"op": "casei", "args": [{"property": …}]}`."""
    match node:
        case {"property": str(name)}:
            return Operand(find(name, lambda reason: bad_request("filter", reason)))
        case {"op": "casei", "args": [{"property": str(name)}]}:
            found = find(name, lambda reason: bad_request("filter", reason))
            if found.kind is not Kind.TEXT:
                raise bad_request("filter", f"casei: {found.name} is {found.kind}, not a text")
            return Operand(found, lower=True)
    raise bad_request("filter", "one side of each comparison is a property, alone or in casei(…)")


def constant(beside: Operand, node: Json) -> Scalar:
    """Return a constant of the type of the operand beside it; 400 if it does not fit."""
    if isinstance(node, dict) and node.get("op") == "casei" and isinstance(node.get("args"), list) and node["args"]:
        text = constant(beside, node["args"][0])
        return text.lower() if isinstance(text, str) else text
    return _CONVERT[beside.kind](beside, node)


def equals(left: Operand, node: Json) -> ColumnElement[bool]:
    """Return `left = constant`, by the index that fits."""
    value, found = constant(left, node), left.queryable
    if found.prefix and not left.lower and isinstance(value, str):
        if not value.startswith(found.prefix):
            return false()
        return _is(found.sql, value.removeprefix(found.prefix))
    simple = isinstance(value, str | int | float) and found.kind in {Kind.TEXT, Kind.NUMBER}
    if found.attribute and simple and not left.lower and not has_index(found.attribute):
        return product.c.attributes.contains(cast({found.attribute: {"value": value}}, JSONB))
    return _is(left.sql, value)


def _is(column: ColumnElement[Any], value: Scalar) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = column == value
    return condition


def moment(node: Json) -> datetime:
    """Return a moment in time, given as text, `{"timestamp": …}` or `{"date": …}` (midnight UTC)."""
    if isinstance(node, dict):
        node = node.get("timestamp", node.get("date"))
    try:
        found = datetime.fromisoformat(node.upper())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise bad_request("filter", f"{ascii(node)[:60]} is not a date and time of RFC 3339") from error


def _text(beside: Operand, node: Json) -> str:
    if not isinstance(node, str):
        raise bad_request("filter", f"{beside.label} is a text, {ascii(node)[:60]} is none")
    return clean_text("filter", node)


def _number(beside: Operand, node: Json) -> int | float:
    if isinstance(node, bool) or not isinstance(node, int | float):
        raise bad_request("filter", f"{beside.label} is a number, {ascii(node)[:60]} is none")
    if isinstance(node, float):
        return finite("filter", node)
    if abs(node) >= 10**30:
        raise bad_request("filter", "has an integer of more than 30 digits")
    return node


def _boolean(beside: Operand, node: Json) -> bool:
    if not isinstance(node, bool):
        raise bad_request("filter", f"{beside.label} is true or false, {ascii(node)[:60]} is neither")
    return node


def _moment(_: Operand, node: Json) -> datetime:
    return moment(node)


def _stored(_: Operand, node: Json) -> str:
    return stored_date(moment(node))


def _geometry(beside: Operand, _: Json) -> Scalar:
    raise bad_request("filter", f"{beside.label} is a geometry: use a spatial function")


_CONVERT: dict[Kind, Callable[[Operand, Json], Scalar]] = {
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.MOMENT: _moment,
    Kind.STORED_DATE: _stored,
    Kind.GEOMETRY: _geometry,
}
