"""Entity sets beside Products: their properties, their `$filter`, `$orderby` and `$expand`, read as those are."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from odata_query import ast
from sqlalchemy import Column, Table, and_
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.visitors import replacement_traverse

from refsys.services.common.logs import get_logger
from refsys.services.distribution.model import product
from refsys.services.distribution.odata.errors import bad_filter, bad_option
from refsys.services.distribution.odata.filter import _chain, _Translation
from refsys.services.distribution.odata.operands import Expression, Kind, Operand
from refsys.services.distribution.odata.parser import parse

DEFAULT_TOP = 20
MAX_TOP = 1000
LARGEST = 2**31

log = get_logger()


@dataclass(frozen=True)
class SetQuery:
    """A request for a page of an entity set, understood and checked."""

    condition: ColumnElement[bool] | None
    order: tuple[ColumnElement[object], ...]
    top: int
    skip: int
    count: bool
    expand: frozenset[str]

    def next_link(self, url: str, pairs: Iterable[tuple[str, str]]) -> str:
        """Return the address of the page after this one, with the client's own options."""
        kept = [(name, value) for name, value in pairs if name not in {"$skip", "$top"}]
        paging = [("$top", str(self.top)), ("$skip", str(self.skip + self.top))]
        return f"{url}?{urlencode(kept + paging, quote_via=quote, safe='$/:,()' + chr(39))}"


@dataclass(frozen=True)
class EntitySet:
    """An entity set over one table.

    `properties` are those that filter and order; `aliases` are spellings of them that clients in the field use;
    `order` is the property of the default order. A set `like_product` has the attributes and the footprint of a
    product as well. A page that expands something has at most `expanded_top` entities.
    """

    name: str
    table: Table
    properties: Mapping[str, tuple[Kind, Column[Any]]]
    order: str
    expandable: tuple[str, ...] = ()
    aliases: Mapping[str, str] | None = None
    like_product: bool = False
    expanded_top: int = MAX_TOP

    def where(self, text: str) -> ColumnElement[bool]:
        """Return the condition of a `$filter`; raises the 400 that names what is wrong with it."""
        if text.lstrip().startswith('"'):
            log.info("a client quotes its whole filter", entity_set=self.name, filter=text[:500])
        try:
            translation, parts = _SetTranslation(self), _chain(parse(text), ast.And)
            condition = and_(*(translation.condition(part) for part in parts))
        except RecursionError as error:
            raise bad_filter("$filter is nested too deeply: use fewer parentheses, or `in` for lists") from error
        return over(self.table, condition) if self.like_product else condition

    def query(self, pairs: Iterable[tuple[str, str]]) -> SetQuery:
        """Read the query options of the set; raises the 400 that names the option and what is allowed."""
        options, expand = self._options(pairs, {"$filter", "$orderby", "$top", "$skip", "$count", "$expand", "$format"})
        return SetQuery(
            condition=self.where(options["$filter"]) if "$filter" in options else None,
            order=self._order(options.get("$orderby")),
            top=min(
                _number("$top", options.get("$top", str(DEFAULT_TOP))),
                self.expanded_top if expand else MAX_TOP,
            ),
            skip=_number("$skip", options.get("$skip", "0")),
            count=_flag("$count", options.get("$count", "false")),
            expand=expand,
        )

    def entity_query(self, pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
        """Read the query options of a single entity: what to expand."""
        return self._options(pairs, {"$expand", "$format"})[1]

    def property(self, name: str) -> tuple[Kind, Column[Any]] | None:
        """Return the type and column of a property, by any of its spellings."""
        return self.properties.get((self.aliases or {}).get(name, name))

    def _options(self, pairs: Iterable[tuple[str, str]], allowed: set[str]) -> tuple[dict[str, str], frozenset[str]]:
        options: dict[str, str] = {}
        expand: set[str] = set()
        for name, value in pairs:
            if not name.startswith("$"):
                continue
            if name not in allowed:
                raise bad_option(name, f"is not supported here; these are: {', '.join(sorted(allowed))}")
            if name == "$expand":  # clients repeat it
                expand |= {part.strip() for part in value.split(",") if part.strip()}
            elif options.setdefault(name, value) != value:
                raise bad_option(name, "is given twice with different values")
        if unknown := expand - set(self.expandable):
            known = ", ".join(self.expandable) or "nothing"
            raise bad_option("$expand", f"{', '.join(sorted(unknown))} is not known; {self.name} expands {known}")
        if options.get("$format", "json").split(";")[0] not in {"json", "application/json"}:
            raise bad_option("$format", "only json is served")
        return options, frozenset(expand)

    def _order(self, text: str | None) -> tuple[ColumnElement[object], ...]:
        """Return the sort keys; `Id` comes last, so that pages never overlap."""
        keys: list[ColumnElement[object]] = []
        for part in (text or self.order).split(","):
            match = re.fullmatch(r"\s*([\w/]+)(?:\s+(asc|desc))?\s*", part, re.IGNORECASE)
            found = self.property(match[1]) if match else None
            if match is None or found is None:
                raise bad_option(
                    "$orderby", f"'{part.strip()}' is not a property with asc or desc; use {', '.join(self.properties)}"
                )
            keys.append(found[1].desc() if (match[2] or "").lower() == "desc" else found[1].asc())
        return (*keys, self.table.c.id.asc())


def over(table: Table, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return a condition over `distribution.product` as the same over another table with its columns."""

    def replace(element: Any, **_: object) -> Any:
        if isinstance(element, Column) and element.table is product:
            if element.name not in table.c:
                raise bad_filter(f"$filter: {element.name} is not known of {table.name}")
            return table.c[element.name]
        return None

    replaced: ColumnElement[bool] = replacement_traverse(condition, {}, replace)
    return replaced


def _number(option: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text.strip()) or int(text) > LARGEST:
        raise bad_option(option, f"'{text[:40]}' is not a whole number from 0 to {LARGEST}")
    return int(text)


def _flag(option: str, text: str) -> bool:
    value = text.strip().lower()
    if value not in {"true", "false", "1", "0"}:
        raise bad_option(option, f"'{text[:40]}' is not true or false")
    return value in {"true", "1"}


class _SetTranslation(_Translation):
    """The translation of a `$filter` with the properties of another set than Products."""

    def __init__(self, entity_set: EntitySet) -> None:
        super().__init__()
        self._set = entity_set

    def visit_Call(self, node: ast.Call) -> Operand:  # noqa: N802
        """A function; those of geography only where there are footprints."""
        if node.func.namespace and not self._set.like_product:
            raise bad_filter(f"{self._set.name} have no footprint: function {node.func.name} is not supported here")
        return super().visit_Call(node)

    def visit_CollectionLambda(self, node: ast.CollectionLambda) -> Operand:  # noqa: N802
        """A condition on attributes, where there are any."""
        if not self._set.like_product:
            raise bad_filter(f"{self._set.name} have no Attributes: any(…) is not supported here")
        return super().visit_CollectionLambda(node)

    def _property(self, name: str) -> Operand:
        if found := self._set.property(name):
            return Expression(name, *found)
        if self._set.like_product:
            return super()._property(name)
        raise bad_filter(f"property {name} is not known; the properties are {', '.join(self._set.properties)}")
