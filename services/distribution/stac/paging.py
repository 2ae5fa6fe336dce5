"""Order and pages of a search.

A page ends at an item; the next one begins after it in the order of the search, with the identifier as the last
key. Products that are published meanwhile neither shift nor repeat what follows (keyset paging).
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import RowMapping, and_, bindparam, false, or_, tuple_
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.stac.errors import bad_request, clean_text
from refsys.services.distribution.stac.properties import PROPERTIES, Kind, Property, find

MAX_KEYS = 5
MAX_TOKEN = 4096
DEFAULT = ("-datetime",)

Condition = ColumnElement[bool]


@dataclass(frozen=True)
class Key:
    """One key of the order; items without a value come last in either direction."""

    queryable: Property
    descending: bool

    @property
    def name(self) -> str:
        """The key as `sortby` writes it."""
        return ("-" if self.descending else "+") + self.queryable.name

    @property
    def order(self) -> ColumnElement[Any]:
        """The key for ORDER BY."""
        column = self.queryable.sql
        direction = column.desc() if self.descending else column.asc()
        return direction.nulls_last() if self.nullable else direction

    @property
    def nullable(self) -> bool:
        """Whether some items have no value; every product has a period, see the publisher."""
        return self.queryable.nullable and self.queryable.name not in {"datetime", "start_datetime", "end_datetime"}


def keys(names: Sequence[str] | None) -> tuple[Key, ...]:
    """Return the keys of `sortby` (`-datetime`, `+id`, `id`), with the identifier as the last one."""
    if names and len(names) > MAX_KEYS:
        raise bad_request("sortby", f"has {len(names)} keys, {MAX_KEYS} are allowed")
    found: list[Key] = []
    for text in names or DEFAULT:
        # A plus sign that was not escaped arrives as a space.
        known = find(text.lstrip("+- "), lambda reason: bad_request("sortby", reason))
        if known.kind in {Kind.GEOMETRY, Kind.BOOLEAN}:
            raise bad_request("sortby", f"{known.name} has no order")
        if known.name in {key.queryable.name for key in found}:
            raise bad_request("sortby", f"names {known.name} twice")
        found.append(Key(known, text.startswith("-")))
        if known.name == "id":
            return tuple(found)
    return (*found, Key(PROPERTIES["id"], found[-1].descending))


def after(order: Sequence[Key], token: str) -> Condition:
    """Return the condition that an item comes after the one that the token names; 400 for a foreign token."""
    values = _decode(order, token)
    same_direction = len({key.descending for key in order}) == 1
    if same_direction and not any(key.nullable for key in order):
        columns = tuple_(*(key.queryable.sql for key in order))
        last = tuple_(*(_bound(key, value) for key, value in zip(order, values, strict=True)))
        return columns < last if order[0].descending else columns > last
    steps = []
    for number, key in enumerate(order):
        same = [_same(*pair) for pair in zip(order[:number], values[:number], strict=True)]
        steps.append(and_(*same, _beyond(key, values[number])))
    return or_(*steps)


def encode(order: Sequence[Key], row: Mapping[str, Any] | RowMapping) -> str:
    """Return the token of the item of a row, which has the keys' values under their names."""
    values = [_plain(row[key.name]) for key in order]
    text = json.dumps([[key.name for key in order], values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(order: Sequence[Key], token: str) -> list[Any]:
    wrong = bad_request("token", "is not one that this search gave: take it from the link rel=next, unchanged")
    if len(token) > MAX_TOKEN:
        raise wrong
    try:
        names, values = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        if names != [key.name for key in order] or len(values) != len(order):
            raise wrong
        return [_value(key, value) for key, value in zip(order, values, strict=True)]
    except (binascii.Error, ValueError, TypeError, InvalidOperation, RecursionError) as error:
        raise wrong from error


def _plain(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _value(key: Key, text: object) -> Any:
    if text is None and key.nullable:
        return None
    if not isinstance(text, str):
        raise TypeError(key.name)
    match key.queryable.kind:
        case Kind.MOMENT:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError(text)
            return moment
        case Kind.NUMBER:
            number = Decimal(text)
            if not number.is_finite():
                raise ValueError(text)
            return number
    return clean_text("token", text)


def _bound(key: Key, value: Any) -> ColumnElement[Any]:
    kept = None if key.queryable.kind is Kind.NUMBER else key.queryable.sql.type
    return bindparam(None, value, type_=kept, unique=True)


def _same(key: Key, value: Any) -> Condition:
    column = key.queryable.sql
    return column.is_(None) if value is None else column == _bound(key, value)


def _beyond(key: Key, value: Any) -> Condition:
    if value is None:
        return false()
    column, bound = key.queryable.sql, _bound(key, value)
    further: Condition = column < bound if key.descending else column > bound
    return or_(further, column.is_(None)) if key.nullable else further
