"""The query options of an OData request: what a client may ask for besides `$filter`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy import RowMapping
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.odata import paging
from refsys.services.distribution.odata.errors import ODataError, bad_option
from refsys.services.distribution.odata.filter import where
from refsys.services.distribution.odata.paging import Key, read_order

DEFAULT_TOP = 20
MAX_TOP = 1000
# As the Copernicus data space has it; further on by @odata.nextLink, which costs the same on every page.
MAX_SKIP = 10_000
EXPANDABLE = ("Attributes", "Quicklooks", "Assets")
SELECTABLE = (
    "Id",
    "Name",
    "ContentType",
    "ContentLength",
    "OriginDate",
    "PublicationDate",
    "EvictionDate",
    "Online",
    "Checksum",
    "ProductionType",
    "ContentDate",
    "Footprint",
    "GeoFootprint",
)
_ENTITY_OPTIONS = frozenset({"$expand", "$select", "$format"})
_SET_OPTIONS = _ENTITY_OPTIONS | {"$filter", "$orderby", "$top", "$skip", "$skiptoken", "$count"}
_LISTS = {"$expand": EXPANDABLE, "$select": (*SELECTABLE, "*")}


@dataclass(frozen=True)
class Shape:
    """What is shown of each product; `select` None is everything."""

    expand: frozenset[str] = frozenset()
    select: frozenset[str] | None = None

    @property
    def context(self) -> str:
        """The fragment of the context URL (OData 4.0, section 10)."""
        return "Products" + (f"({','.join(sorted(self.select))})" if self.select else "")


@dataclass(frozen=True)
class Query:
    """A request for products, understood and checked; `after` holds for the rows of a continued page."""

    condition: ColumnElement[bool] | None
    keys: tuple[Key, ...]
    after: ColumnElement[bool] | None
    top: int
    skip: int
    count: bool
    shape: Shape

    @property
    def order(self) -> tuple[ColumnElement[Any], ...]:
        """The sort keys as ORDER BY."""
        return tuple(key.order for key in self.keys)


def read_set_query(pairs: Iterable[tuple[str, str]]) -> Query:
    """Read the query options of an entity set from the decoded query string.

    Raises:
        ODataError: 400 that names the option, its value and what is allowed; 422 for a `$skip` too far.
    """
    options, shape = _options(pairs, _SET_OPTIONS)
    keys = read_order(options.get("$orderby"))
    token = options.get("$skiptoken")
    if token is not None and "$skip" in options:
        raise bad_option("$skip", "cannot be used beside $skiptoken")
    return Query(
        condition=where(options["$filter"]) if "$filter" in options else None,
        keys=keys,
        after=None if token is None else paging.after(keys, token),
        top=min(_number("$top", options.get("$top", str(DEFAULT_TOP))), MAX_TOP),
        skip=_skip(options.get("$skip", "0")),
        count=_flag("$count", options.get("$count", "false")),
        shape=shape,
    )


def read_entity_query(pairs: Iterable[tuple[str, str]]) -> Shape:
    """Read the query options of a single entity."""
    return _options(pairs, _ENTITY_OPTIONS)[1]


def next_link(url: str, pairs: Iterable[tuple[str, str]], query: Query, last: RowMapping) -> str:
    """Return the address of the page after the row `last`, with the client's own options."""
    kept = [(name, value) for name, value in pairs if name not in {"$skip", "$top", "$skiptoken"}]
    following = [("$top", str(query.top)), ("$skiptoken", paging.token(query.keys, last))]
    return f"{url}?{urlencode(kept + following, quote_via=quote, safe='$/:,()' + chr(39))}"


def _options(pairs: Iterable[tuple[str, str]], allowed: frozenset[str]) -> tuple[dict[str, str], Shape]:
    options: dict[str, str] = {}
    lists: dict[str, set[str]] = {name: set() for name in _LISTS}
    for name, value in pairs:
        if not name.startswith("$"):
            continue
        if name not in allowed:
            raise bad_option(name[:60], f"is not supported here; these are: {', '.join(sorted(allowed))}")
        if name in _LISTS:  # clients repeat $expand
            lists[name] |= _names(name, value)
        elif name in options and options[name] != value:
            raise bad_option(name, "is given twice with different values")
        else:
            options[name] = value
    if options.get("$format", "json").split(";")[0] not in {"json", "application/json"}:
        raise bad_option("$format", "only json is served")
    select = lists["$select"]
    everything = not select or "*" in select
    return options, Shape(frozenset(lists["$expand"]), None if everything else frozenset(select | {"Id"}))


def _names(option: str, value: str) -> set[str]:
    """Return the names of `$expand` or `$select`; of a path the first part."""
    names = {part.strip().split("/")[0] for part in value.split(",") if part.strip()}
    if option == "$select":
        names -= set(EXPANDABLE)  # shown when expanded
    if unknown := names - set(_LISTS[option]):
        raise bad_option(option, f"{', '.join(sorted(unknown))[:200]} is not one of {', '.join(_LISTS[option])}")
    return names


def _number(option: str, text: str, limit: int = 2**31) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text.strip()) or int(text) > limit:
        raise bad_option(option, f"'{text[:60]}' is not a whole number from 0 to {limit}")
    return int(text)


def _skip(text: str) -> int:
    skip = _number("$skip", text, 10**18)
    if skip > MAX_SKIP:
        message = f"$skip: at most {MAX_SKIP} rows can be skipped: follow @odata.nextLink, or narrow $filter"
        raise ODataError(422, "SkipTooFar", message, target="$skip")
    return skip


def _flag(option: str, text: str) -> bool:
    value = text.strip().lower()
    if value not in {"true", "false", "1", "0"}:
        raise bad_option(option, f"'{text[:60]}' is not true or false")
    return value in {"true", "1"}
