"""The string functions of OData 4.0 (part 2, section 5.1.1.4) as PostgreSQL expressions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, cast, func
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.odata.operands import Kind, Literal, Operand

Sql = ColumnElement[Any]


@dataclass(frozen=True)
class Function:
    """A function's argument types, result type and SQL."""

    arguments: tuple[Kind, ...]
    result: Kind
    sql: Callable[..., Sql]


def like(text: Sql, part: Operand, before: str, after: str) -> Sql | None:
    """Return a LIKE that an index can serve, if the searched part is a constant."""
    if not isinstance(part, Literal):
        return None
    escaped = part.text().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return text.like(f"{before}{escaped}{after}")


def _substring(text: Sql, start: Sql, length: Sql | None = None) -> Sql:
    first = func.greatest(cast(start, Integer), 0) + 1
    if length is None:
        return func.substr(text, first)
    return func.substr(text, first, func.greatest(cast(length, Integer), 0))


_T, _N = Kind.TEXT, Kind.NUMBER

FUNCTIONS: dict[str, Function] = {
    "concat": Function((_T, _T), _T, lambda a, b: a.concat(b)),
    "contains": Function((_T, _T), Kind.BOOLEAN, lambda a, b: func.strpos(a, b) > 0),
    "endswith": Function((_T, _T), Kind.BOOLEAN, lambda a, b: func.right(a, func.length(b)) == b),
    "indexof": Function((_T, _T), _N, lambda a, b: func.strpos(a, b) - 1),
    "length": Function((_T,), _N, func.length),
    "matchesPattern": Function((_T, _T), Kind.BOOLEAN, lambda a, b: a.op("~", is_comparison=True)(b)),
    "startswith": Function((_T, _T), Kind.BOOLEAN, func.starts_with),
    "substring": Function((_T, _N, _N), _T, _substring),
    "tolower": Function((_T,), _T, func.lower),
    "toupper": Function((_T,), _T, func.upper),
    "trim": Function((_T,), _T, func.btrim),
}

# How a constant part is wrapped in a LIKE pattern.
PATTERNS = {"contains": ("%", "%"), "endswith": ("%", ""), "startswith": ("", "%")}
