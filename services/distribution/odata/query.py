"""The query options of an OData request: what a client may ask for besides `$filter`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.odata.errors import bad_option
from refsys.services.distribution.odata.filter import where
from refsys.services.distribution.odata.properties import ORDERABLE

DEFAULT_TOP = 20
MAX_TOP = 1000
MAX_SKIP = 2**31
# `Assets` is asked for by clients of the Copernicus data space; a PRIP product has none.
EXPANDABLE = ("Attributes", "Quicklooks", "Assets")
_SET_OPTIONS = frozenset({"$filter", "$orderby", "$top", "$skip", "$count", "$expand", "$format"})
_ENTITY_OPTIONS = frozenset({"$expand", "$format"})


@dataclass(frozen=True)
class Query:
    """A request for products, understood and checked."""

    condition: ColumnElement[bool] | None
    order: tuple[ColumnElement[object], ...]
    top: int
    skip: int
    count: bool
    expand: frozenset[str]


def read_set_query(pairs: Iterable[tuple[str, str]]) -> Query:
    """Read the query options of an entity set from the decoded query string.

    Raises:
        ODataError: 400 that names the option, its value and what is allowed.
    """
    options, expand = _options(pairs, _SET_OPTIONS)
    return Query(
        condition=where(options["$filter"]) if "$filter" in options else None,
        order=_order(options.get("$orderby")),
        top=min(_number("$top", options.get("$top", str(DEFAULT_TOP)), 2**31), MAX_TOP),
        skip=_number("$skip", options.get("$skip", "0"), MAX_SKIP),
        count=_flag("$count", options.get("$count", "false")),
        expand=expand,
    )


def read_entity_query(pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Read the query options of a single entity: what to expand."""
    return _options(pairs, _ENTITY_OPTIONS)[1]


def next_link(url: str, pairs: Iterable[tuple[str, str]], query: Query) -> str:
    """Return the address of the page after `query`, with the client's own options."""
    kept = [(name, value) for name, value in pairs if name not in {"$skip", "$top"}]
    paging = [("$top", str(query.top)), ("$skip", str(query.skip + query.top))]
    return f"{url}?{urlencode(kept + paging, quote_via=quote, safe='$/:,()' + chr(39))}"


def _options(pairs: Iterable[tuple[str, str]], allowed: frozenset[str]) -> tuple[dict[str, str], frozenset[str]]:
    options: dict[str, str] = {}
    expand: set[str] = set()
    for name, value in pairs:
        if not name.startswith("$"):
            continue
        if name not in allowed:
            raise bad_option(name, f"is not supported here; these are: {', '.join(sorted(allowed))}")
        if name == "$expand":  # clients repeat it
            expand |= {part.strip() for part in value.split(",") if part.strip()}
        elif name in options and options[name] != value:
            raise bad_option(name, "is given twice with different values")
        else:
            options[name] = value
    if unknown := expand - set(EXPANDABLE):
        raise bad_option("$expand", f"{', '.join(sorted(unknown))} is not one of {', '.join(EXPANDABLE)}")
    if options.get("$format", "json").split(";")[0] not in {"json", "application/json"}:
        raise bad_option("$format", "only json is served")
    return options, frozenset(expand)


def _order(text: str | None) -> tuple[ColumnElement[object], ...]:
    """Return the sort keys; the last one makes the order total, so that pages never overlap."""
    keys: list[ColumnElement[object]] = []
    for part in (text or "PublicationDate").split(","):
        match = re.fullmatch(r"\s*([\w/]+)(?:\s+(asc|desc))?\s*", part, re.IGNORECASE)
        column = ORDERABLE.get(match[1]) if match else None
        if match is None or column is None:
            raise bad_option(
                "$orderby", f"'{part.strip()}' is not a property with asc or desc; use {', '.join(ORDERABLE)}"
            )
        keys.append(column.desc() if (match[2] or "").lower() == "desc" else column.asc())
    unique = {"PublicationDate", "Name", "Id"}
    if not any(part.split()[0] in unique for part in (text or "PublicationDate").split(",")):
        keys.append(ORDERABLE["Id"].asc())
    return tuple(keys)


def _number(option: str, text: str, limit: int) -> int:
    if not re.fullmatch(r"\d{1,18}", text.strip()) or int(text) > limit:
        raise bad_option(option, f"'{text}' is not a whole number from 0 to {limit}")
    return int(text)


def _flag(option: str, text: str) -> bool:
    value = text.strip().lower()
    if value not in {"true", "false", "1", "0"}:
        raise bad_option(option, f"'{text}' is not true or false")
    return value in {"true", "1"}
