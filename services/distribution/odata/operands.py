"""Typed operands of a `$filter` expression, so that nothing reaches SQL with a type that does not fit."""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from odata_query import ast
from sqlalchemy import BigInteger, Numeric, String, bindparam, cast, func, literal_column, or_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import INDEXED_NUMBERS, INDEXED_TEXTS, product
from refsys.services.distribution.odata.errors import bad_filter

PRODUCTION_TYPES = ("systematic_production", "on_demand_default", "on_demand_non_default")
BIGGEST = 2**63

Scalar = str | int | float | Decimal | bool | datetime | uuid.UUID


class Kind(StrEnum):
    """The types that values are compared as."""

    TEXT = "String"
    NUMBER = "Number"
    BOOLEAN = "Boolean"
    DATE = "DateTimeOffset"
    GUID = "Guid"
    PRODUCTION_TYPE = "OData.CSC.ProductionType"
    COLLECTION = "Collection name"


class Operand(Protocol):
    """One side of a comparison, or an argument of a function."""

    @property
    def label(self) -> str:
        """The operand as shown in messages."""

    def kind_beside(self, other: "Operand | None") -> Kind:
        """Return the type that this operand asks for when compared with `other`."""

    def sql(self, kind: Kind) -> ColumnElement[Any]:
        """Return the operand as SQL of the given type, or raise the 400 that says why it can't be."""


@dataclass(frozen=True)
class Expression:
    """A property or the result of a function."""

    label: str
    kind: Kind
    column: ColumnElement[Any]

    def kind_beside(self, other: Operand | None) -> Kind:
        """Return the fixed type."""
        return self.kind

    def sql(self, kind: Kind) -> ColumnElement[Any]:
        """Return the expression, if its type is the one asked for."""
        if kind is not self.kind and (self.kind, kind) != (Kind.PRODUCTION_TYPE, Kind.TEXT):
            raise bad_filter(f"{self.label} is of type {self.kind}, it cannot be compared as {kind}")
        return self.column


@dataclass(frozen=True)
class Literal:
    """A constant of the filter, converted to the type of what it is compared with."""

    node: ast._Literal

    @property
    def label(self) -> str:
        """The constant as written."""
        return f"'{self.node.val}'" if isinstance(self.node, ast.String) else str(getattr(self.node, "val", "null"))

    def kind_beside(self, other: Operand | None) -> Kind:
        """Return the constant's own type."""
        match self.node:
            case ast.Integer() | ast.Float():
                return Kind.NUMBER
            case ast.Boolean():
                return Kind.BOOLEAN
            case ast.DateTime() | ast.Date():
                return Kind.DATE
            case ast.GUID():
                return Kind.GUID
            case ast.String():
                return Kind.TEXT
        raise bad_filter(f"{self.label}: a constant of type {type(self.node).__name__} is not supported here")

    def value(self, kind: Kind) -> Scalar:
        """Return the constant as a Python value of the given type."""
        if isinstance(self.node, ast.Null):
            raise bad_filter("null can only be compared by eq and ne")
        text = str(getattr(self.node, "val", ""))
        try:
            converted: Scalar = _CONVERT[kind](text)
        except (ValueError, ArithmeticError) as error:
            raise bad_filter(f"{self.label} is not a value of type {kind}") from error
        return converted

    def text(self) -> str:
        """Return the constant as text."""
        return str(self.value(Kind.TEXT))

    def stored_date(self) -> str:
        """Return the constant as a date the way the table stores dates among the attributes."""
        return stored_date(_date(str(self.value(Kind.DATE))))

    def sql(self, kind: Kind) -> ColumnElement[Any]:
        """Return the constant as a bound parameter."""
        value = self.value(kind)
        kept = BigInteger() if isinstance(value, int) and not isinstance(value, bool) else None
        return bindparam(None, value, type_=kept, unique=True)


@dataclass(frozen=True)
class AttributeValue:
    """The value of one attribute of a product, found by the attribute's name: a constant, or a column of names."""

    name: str | ColumnElement[str]
    declared: Kind | None

    @property
    def label(self) -> str:
        """The attribute as shown in messages."""
        return f"attribute {self.name}" if isinstance(self.name, str) else "Value"

    def kind_beside(self, other: Operand | None) -> Kind:
        """Return the type to compare as: clients mix the casts, so a constant's own type counts as well."""
        given = other.kind_beside(None) if isinstance(other, Literal) else None
        if self.declared in {None, Kind.TEXT}:
            return given or Kind.TEXT
        return self.declared or Kind.TEXT

    def sql(self, kind: Kind) -> ColumnElement[Any]:
        """Return the value as SQL; NULL where it is absent or of another type."""
        attributes = product.c.attributes
        if kind is Kind.TEXT and isinstance(self.name, str) and self.name == "productType":
            return product.c.product_type
        if kind is Kind.NUMBER:
            return func.distribution.attribute_number(attributes, self._name(INDEXED_NUMBERS), type_=Numeric)
        text: ColumnElement[Any] = func.distribution.attribute_text(
            attributes, self._name(INDEXED_TEXTS), type_=String
        ).collate("C")
        if kind in {Kind.TEXT, Kind.DATE}:
            return text
        if kind is Kind.BOOLEAN:
            return text == "true"
        raise bad_filter(f"{self.label} cannot be compared with a value of type {kind}")

    def equals(self, constant: Literal, kind: Kind) -> ColumnElement[Any]:
        """Return the SQL of `Value eq constant`, by the index that fits the attribute."""
        if kind not in {Kind.TEXT, Kind.NUMBER, Kind.BOOLEAN, Kind.DATE}:
            raise bad_filter(f"{self.label} cannot be compared with a value of type {kind}")
        value = constant.stored_date() if kind is Kind.DATE else constant.value(kind)
        indexed = INDEXED_NUMBERS if kind is Kind.NUMBER else INDEXED_TEXTS | {"productType"}
        if not isinstance(self.name, str):
            return self.sql(kind) == self.compared(constant, kind)
        if self.name in indexed and kind in {Kind.NUMBER, Kind.TEXT, Kind.DATE}:
            return self.sql(kind) == self.compared(constant, kind)
        values = [float(value) if isinstance(value, Decimal) else value]
        if kind is Kind.TEXT and re.fullmatch(r"-?\d{1,18}", constant.text()):
            values.append(int(constant.text()))
        return or_(*(self._contains(each) for each in values))

    def compared(self, other: Operand, kind: Kind) -> ColumnElement[Any]:
        """Return the other side of a comparison with this attribute, as it is stored."""
        if kind is Kind.DATE and isinstance(other, Literal):
            return bindparam(None, other.stored_date(), unique=True)
        if kind is Kind.DATE and isinstance(other, Expression):
            raise bad_filter(f"{self.label} can be compared with a date given in the filter, not with {other.label}")
        return other.sql(kind)

    def _contains(self, value: Scalar) -> ColumnElement[Any]:
        return product.c.attributes.contains(cast({self.name: {"value": value}}, JSONB))

    def _name(self, indexed: frozenset[str]) -> ColumnElement[Any]:
        # The planner matches an expression index by the constant; these names are ours, not the client's.
        if not isinstance(self.name, str):
            return self.name
        return literal_column(f"'{self.name}'") if self.name in indexed else cast(self.name, String)


def stored_date(moment: datetime) -> str:
    """Return a date the way the table stores the dates among the attributes (UTC, microseconds)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _date(text: str) -> datetime:
    moment = datetime.fromisoformat(text.upper())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(text: str) -> int | Decimal:
    number = Decimal(text)
    if not number.is_finite() or abs(number) >= BIGGEST:
        raise ValueError(text)
    return int(number) if number == int(number) else number


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(text)
    return text.lower() == "true"


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL")
    return text


def _production_type(text: str) -> str:
    if text not in PRODUCTION_TYPES:
        raise bad_filter(f"'{text}' is not a ProductionType, it is one of {', '.join(PRODUCTION_TYPES)}")
    return text


def _collection(text: str) -> str:
    found = re.fullmatch(r"SENTINEL[-_ ]?(\d)[A-D]?", text.strip(), re.IGNORECASE)
    return f"S{found[1]}" if found else text


_CONVERT: dict[Kind, Any] = {
    Kind.TEXT: _text,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
    Kind.GUID: uuid.UUID,
    Kind.PRODUCTION_TYPE: _production_type,
    Kind.COLLECTION: _collection,
}
