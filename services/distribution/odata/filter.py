"""Translate the syntax tree of a `$filter` into one SQLAlchemy condition over `distribution.product`.

Every constant of the client becomes a bound parameter. Implements the filters of the PRIP ICD
(ESA-EOPG-EOPGC-IF-3) and, on attributes, the mixed forms that clients in the field send.
"""

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from odata_query import ast, visitor
from sqlalchemy import and_, or_
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import product
from refsys.services.distribution.odata import geography, lambdas
from refsys.services.distribution.odata.errors import bad_filter
from refsys.services.distribution.odata.functions import FUNCTIONS, PATTERNS, like
from refsys.services.distribution.odata.lambdas import Scope
from refsys.services.distribution.odata.operands import AttributeValue, Expression, Kind, Literal, Operand
from refsys.services.distribution.odata.parser import NotIn, parse
from refsys.services.distribution.odata.periods import implied
from refsys.services.distribution.odata.properties import ATTRIBUTES, PROPERTIES

_OPERATORS: dict[type[ast._Comparator], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Eq: ("eq", operator.eq),
    ast.NotEq: ("ne", lambda a, b: a.is_distinct_from(b)),
    ast.Gt: ("gt", operator.gt),
    ast.GtE: ("ge", operator.ge),
    ast.Lt: ("lt", operator.lt),
    ast.LtE: ("le", operator.le),
}
_MIRRORED = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE}
_ORDERED = {Kind.TEXT, Kind.NUMBER, Kind.DATE}


def where(text: str) -> ColumnElement[bool]:
    """Return the condition of a `$filter`.

    Raises:
        ODataError: 400 that names what is wrong with the filter.
    """
    try:
        translation, parts = _Translation(), _chain(parse(text), ast.And)
        return and_(*(translation.condition(part) for part in parts), *implied(parts))
    except RecursionError as error:
        raise bad_filter("$filter is nested too deeply: use fewer parentheses, or `in` for lists") from error


class _Translation(visitor.NodeVisitor):
    """Visitor that turns each node into an operand; a condition is an operand of type Boolean."""

    def __init__(self) -> None:
        self._scope: Scope | None = None

    def condition(self, node: ast._Node) -> ColumnElement[bool]:
        """Return the SQL of a node that has to be true or false."""
        return self._operand(node).sql(Kind.BOOLEAN)

    def generic_visit(self, node: ast._Node) -> Operand:
        """Refuse what the PRIP does not know."""
        raise bad_filter(f"$filter: {type(node).__name__} is not supported")

    def visit_Identifier(self, node: ast.Identifier) -> Operand:  # noqa: N802
        """A property, or the name of a known attribute used like one."""
        return self._property(_full_name(node))

    def visit_Attribute(self, node: ast.Attribute) -> Operand:  # noqa: N802
        """A path: `ContentDate/Start`, or the `Value` of a lambda's attribute."""
        path = lambdas.path(node)
        if self._scope and path[0] == self._scope.variable:
            return self._scope.member(path)
        return self._property("/".join(path))

    def visit_BoolOp(self, node: ast.BoolOp) -> Operand:  # noqa: N802
        """`and`, `or`: long chains are joined flat."""
        join = and_ if isinstance(node.op, ast.And) else or_
        return _boolean(join(*(self.condition(part) for part in _chain(node, type(node.op)))))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Operand:  # noqa: N802
        """`not`: what is unknown in SQL (a missing value) is false in OData, so its negation is true."""
        if not isinstance(node.op, ast.Not):
            raise bad_filter("arithmetic is not supported")
        if (
            isinstance(node.operand, ast.Identifier | ast.Attribute)
            and self._operand(node.operand).kind_beside(None) is not Kind.BOOLEAN
        ):
            raise bad_filter("not binds stronger than comparisons: write not (Name eq '…')")
        if self._scope:
            self._scope.negated = True
        return _boolean(self.condition(node.operand).is_not(True))

    def visit_Compare(self, node: ast.Compare) -> Operand:  # noqa: N802
        """A comparison; `in` is a chain of `eq`."""
        left = self._operand(node.left)
        if isinstance(node.comparator, ast.In):
            found = self._in(left, node.right)
            return _boolean(found.sql(Kind.BOOLEAN).is_not(True)) if isinstance(node.comparator, NotIn) else found
        if isinstance(node.left, ast.Null) or isinstance(node.right, ast.Null):
            return self._null(node)
        right, comparator = self._operand(node.right), type(node.comparator)
        if isinstance(left, Literal) and not isinstance(right, Literal):
            left, right, comparator = right, left, _MIRRORED.get(comparator, comparator)
        return _boolean(_compare(left, comparator, right))

    def visit_Call(self, node: ast.Call) -> Operand:  # noqa: N802
        """A string function, or a geography function of `OData.CSC`."""
        if node.func.namespace:
            return _boolean(geography.condition(_as_csc(node)))
        function = FUNCTIONS.get(node.func.name)
        if function is None:
            raise bad_filter(f"function {node.func.name} is not supported; these are: {', '.join(FUNCTIONS)}")
        operands = [self._operand(argument) for argument in node.args]
        kinds = function.arguments[: len(operands)]
        columns = [operand.sql(kind) for operand, kind in zip(operands, kinds, strict=True)]
        if node.func.name in PATTERNS:
            pattern = like(columns[0], operands[1], *PATTERNS[node.func.name])
            if pattern is not None:
                return _boolean(pattern)
        return Expression(f"{node.func.name}(…)", function.result, function.sql(*columns))

    def visit_CollectionLambda(self, node: ast.CollectionLambda) -> Operand:  # noqa: N802
        """`any` and `all` on `Attributes/OData.CSC.<Type>Attribute` and on `Checksum`."""
        owner = lambdas.path(node.owner)
        if node.lambda_ is None:
            raise bad_filter(f"{'/'.join(owner)}/any() is not supported: give a condition, any(a:a/Name eq '…' and …)")
        if self._scope is not None:
            raise bad_filter("lambda expressions cannot be nested")
        variable, parts = node.lambda_.identifier.name, _chain(node.lambda_.expression, ast.And)
        if owner == ["Checksum"]:
            elements = lambdas.checksums(parts, variable)
        elif isinstance(node.operator, ast.All):
            elements = lambdas.attributes(lambdas.attribute_type(owner))
        else:
            return self._any_attribute(parts, variable, lambdas.KINDS.get(lambdas.attribute_type(owner) or ""))
        with self._speaking_of(Scope(variable, elements.members)):
            condition = and_(*(self.condition(part) for part in parts))
        return _boolean(elements.all(condition) if isinstance(node.operator, ast.All) else elements.any(condition))

    def _any_attribute(self, parts: list[ast._Node], variable: str, declared: Kind | None) -> Operand:
        """Return the condition on the attribute that the lambda expression names."""
        names = [name for part in parts if (name := lambdas.equals(part, variable, "Name")) is not None]
        if len(names) != 1:
            raise bad_filter(
                f"a lambda expression on Attributes needs exactly one {variable}/Name eq '…' joined by and, "
                f"this one has {len(names)}"
            )
        with self._speaking_of(Scope(variable, {"Value": AttributeValue(names[0], declared)})) as scope:
            conditions = [self.condition(part) for part in parts if lambdas.equals(part, variable, "Name") is None]
        if scope.negated or not conditions:
            conditions.insert(0, product.c.attributes.has_key(names[0]))
        return _boolean(and_(*conditions))

    @contextmanager
    def _speaking_of(self, scope: Scope) -> Iterator[Scope]:
        self._scope = scope
        try:
            yield scope
        finally:
            self._scope = None

    def _operand(self, node: ast._Node) -> Operand:
        if isinstance(node, ast._Literal) and not isinstance(node, ast.List | ast.Geography):
            return Literal(node)
        operand: Operand = self.visit(node)
        return operand

    def _property(self, name: str) -> Operand:
        if name in PROPERTIES:
            return PROPERTIES[name]
        if name in ATTRIBUTES:
            return AttributeValue(name, None)
        raise bad_filter(f"property {name} is not known; the properties are {', '.join(PROPERTIES)}")

    def _in(self, left: Operand, node: ast._Node) -> Operand:
        if not isinstance(node, ast.List):
            raise bad_filter("in needs a list of constants, such as Name in ('a','b')")
        values = [Literal(each) for each in node.val if isinstance(each, ast._Literal)]
        if len(values) != len(node.val):
            raise bad_filter("in needs a list of constants")
        if isinstance(left, AttributeValue):
            return _boolean(or_(*(left.equals(value, left.kind_beside(value)) for value in values)))
        kind = left.kind_beside(None)
        return _boolean(left.sql(kind).in_([value.value(kind) for value in values]))

    def _null(self, node: ast.Compare) -> Operand:
        other = self._operand(node.right if isinstance(node.left, ast.Null) else node.left)
        if isinstance(other, Literal) or not isinstance(node.comparator, ast.Eq | ast.NotEq):
            raise bad_filter("null can only be compared with a property by eq and ne")
        column = other.sql(other.kind_beside(None))
        return _boolean(column.is_(None) if isinstance(node.comparator, ast.Eq) else column.is_not(None))


def _compare(left: Operand, comparator: type[ast._Comparator], right: Operand) -> ColumnElement[bool]:
    """Return `left comparator right`, both brought to one type."""
    kind = right.kind_beside(None) if isinstance(right, Expression) else left.kind_beside(right)
    if isinstance(left, Expression):
        kind = left.kind
    name, compare = _OPERATORS[comparator]
    if comparator in _MIRRORED and kind not in _ORDERED:
        raise bad_filter(f"{left.label} {name} {right.label}: values of type {kind} have no order, use eq or ne")
    if isinstance(left, AttributeValue):
        if comparator is ast.Eq and isinstance(right, Literal):
            return left.equals(right, kind)
        # An absent attribute satisfies nothing: here NULL has to stay NULL.
        compare = operator.ne if comparator is ast.NotEq else compare
        return compare(left.sql(kind), left.compared(right, kind))  # type: ignore[no-any-return]
    return compare(left.sql(kind), right.sql(kind))  # type: ignore[no-any-return]


def _boolean(sql: ColumnElement[Any]) -> Expression:
    return Expression("condition", Kind.BOOLEAN, sql)


def _chain(node: ast._Node, joined_by: type[ast._BoolOpToken]) -> list[ast._Node]:
    """Return the parts of a chain of one boolean operator, without recursion: chains get long."""
    parts: list[ast._Node] = []
    pending = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, ast.BoolOp) and isinstance(current.op, joined_by):
            pending += [current.right, current.left]
        else:
            parts.append(current)
    return parts


def _as_csc(node: ast.Call) -> ast.Call:
    if _full_name(node.func) == "geo.intersects":
        return ast.Call(ast.Identifier("Intersects", ("OData", "CSC")), node.args)
    if node.func.namespace != ("OData", "CSC"):
        raise bad_filter(f"function {_full_name(node.func)} is not known")
    return node


def _full_name(node: ast.Identifier) -> str:
    return ".".join((*node.namespace, node.name))
