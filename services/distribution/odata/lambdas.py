"""The collections of a product that `any` and `all` go over: its attributes and its checksums."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from odata_query import ast
from sqlalchemy import Column, DateTime, FromClause, String, and_, cast, column, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import product
from refsys.services.distribution.odata.errors import bad_filter
from refsys.services.distribution.odata.operands import AttributeValue, Expression, Kind, Operand

KINDS = {
    "String": Kind.TEXT,
    "Integer": Kind.NUMBER,
    "Double": Kind.NUMBER,
    "Boolean": Kind.BOOLEAN,
    "DateTimeOffset": Kind.DATE,
}
_STORED = {"Algorithm": "algorithm", "Value": "value"}


@dataclass
class Scope:
    """What a lambda expression's variable stands for: the members of one element."""

    variable: str
    members: Mapping[str, Operand]
    negated: bool = field(default=False)

    def member(self, names: list[str]) -> Operand:
        """Return the member of a path such as `a/Value` or `a/OData.CSC.StringAttribute/Value`."""
        found = self.members.get(names[-1])
        if found is None and names[-1] == "Name":
            raise bad_filter(
                f"{'/'.join(names)}: a lambda expression holds one `{names[0]}/Name eq '…'`, joined by `and` "
                f"with conditions on `{names[0]}/…/Value`"
            )
        if found is None:
            raise bad_filter(f"{'/'.join(names)} is not known here; there are {', '.join(self.members)}")
        return found


@dataclass(frozen=True)
class Elements:
    """The elements of one collection as rows; `only` restricts them, `narrowing` is implied by a match of any."""

    rows: FromClause
    members: Mapping[str, Operand]
    only: ColumnElement[bool] | None = None
    narrowing: ColumnElement[bool] | None = None

    def any(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Return whether one element satisfies the condition."""
        found = self._exists(condition)
        return found if self.narrowing is None else and_(self.narrowing, found)

    def all(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Return whether no element fails to satisfy the condition."""
        return ~self._exists(condition.is_not(True))

    def _exists(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        rows = select(1).select_from(self.rows).where(condition)
        if self.only is not None:
            rows = rows.where(self.only)
        return rows.correlate(product).exists()


def attributes(type_name: str | None) -> Elements:
    """Return the attributes of a type; None is all of them."""
    each = func.jsonb_each(product.c.attributes).table_valued(column("key", String), column("value", JSONB))
    name: ColumnElement[str] = each.c.key
    members: dict[str, Operand] = {
        "Name": Expression("Name", Kind.TEXT, name.collate("C")),
        "Value": AttributeValue(name, KINDS.get(type_name or "")),
    }
    only = None if type_name is None else each.c.value["type"].astext == type_name
    return Elements(each, members, only)


def checksums(parts: list[ast._Node], variable: str) -> Elements:
    """Return the checksums; equalities among the parts of the condition let the index find them."""
    values = {
        stored: value for name, stored in _STORED.items() if (value := _constant(parts, variable, name)) is not None
    }
    each = func.jsonb_array_elements(product.c.checksums).table_valued(Column("value", JSONB))
    item = each.c.value
    members = {name: Expression(name, Kind.TEXT, item[stored].astext.collate("C")) for name, stored in _STORED.items()}
    date = cast(item["checksumDate"].astext, DateTime(timezone=True))
    members["ChecksumDate"] = Expression("ChecksumDate", Kind.DATE, date)
    narrowing = product.c.checksums.contains(cast([values], JSONB)) if values else None
    return Elements(each, members, narrowing=narrowing)


def attribute_type(owner: list[str]) -> str | None:
    """Return the type in the path of a lambda expression; `StringAttributes/any` is an older form of it."""
    if owner == ["Attributes"]:
        return None
    name = owner[1] if len(owner) == 2 and owner[0] == "Attributes" else owner[0].removesuffix("s")
    if name.removesuffix("Attribute") not in KINDS or not name.endswith("Attribute"):
        raise bad_filter(
            f"{'/'.join(owner)} has no any(…): use Attributes/OData.CSC.<Type>Attribute/any(…) or Checksum/any(…), "
            f"the types are {', '.join(KINDS)}"
        )
    return name.removesuffix("Attribute")


def path(node: ast._Node) -> list[str]:
    """Return the names of a path."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, str(node.attr))
        node = node.owner
    if not isinstance(node, ast.Identifier):
        raise bad_filter("$filter: a path starts with the name of a property")
    return [node.name, *names]


def equals(node: ast._Node, variable: str, member: str) -> str | None:
    """Return the constant of `variable/member eq '…'`."""
    if not (isinstance(node, ast.Compare) and isinstance(node.comparator, ast.Eq)):
        return None
    for side, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(side, ast.Attribute) and isinstance(other, ast.String) and path(side) == [variable, member]:
            return str(other.val)
    return None


def _constant(parts: list[ast._Node], variable: str, member: str) -> str | None:
    found: list[Any] = [value for part in parts if (value := equals(part, variable, member)) is not None]
    return found[0] if found else None
