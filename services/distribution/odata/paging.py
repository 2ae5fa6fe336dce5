"""Order and continuation: a page starts after the last row of the one before, by the values of its sort keys.

Products that are published or removed meanwhile move nothing: no row comes twice and none is lost.
"""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, RowMapping, and_, false, or_
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import product
from refsys.services.distribution.odata.errors import bad_option
from refsys.services.distribution.odata.properties import ORDERABLE

DEFAULT_ORDER = "PublicationDate asc"
TOKEN_CHARACTERS = 4096
KEYS = 8
_UNIQUE = {"PublicationDate", "Name", "Id"}


@dataclass(frozen=True)
class Key:
    """One sort key; OData has null before all values."""

    name: str
    column: Column[Any]
    descending: bool

    @property
    def order(self) -> ColumnElement[Any]:
        """The key in ORDER BY."""
        ordered = self.column.desc() if self.descending else self.column.asc()
        if not self.column.nullable:
            return ordered
        return ordered.nulls_last() if self.descending else ordered.nulls_first()

    def after(self, value: object) -> ColumnElement[bool]:
        """Whether a row's key comes strictly after `value`."""
        if value is None:
            return false() if self.descending else self.column.is_not(None)
        if not self.descending:
            return self.column > value
        return or_(self.column < value, self.column.is_(None)) if self.column.nullable else self.column < value

    def equal(self, value: object) -> ColumnElement[bool]:
        """Whether a row's key equals `value`."""
        return self.column.is_(None) if value is None else self.column == value

    def from_or_after(self, value: object) -> ColumnElement[bool] | None:
        """A condition that an index of the key serves, implied by `after` or `equal`; None if there is none."""
        if value is None or (self.descending and self.column.nullable):
            return None
        return self.column <= value if self.descending else self.column >= value


def read_order(text: str | None) -> tuple[Key, ...]:
    """Return the sort keys of `$orderby`; the last one makes the order total."""
    keys: list[Key] = []
    for part in (DEFAULT_ORDER if text is None else text).split(","):
        match = re.fullmatch(r"\s*([\w/]+)(?:\s+(asc|desc))?\s*", part, re.IGNORECASE)
        column = ORDERABLE.get(match[1]) if match else None
        if match is None or column is None:
            raise bad_option(
                "$orderby", f"'{part.strip()[:60]}' is not a property with asc or desc; use {', '.join(ORDERABLE)}"
            )
        if match[1] not in {key.name for key in keys}:
            keys.append(Key(match[1], column, (match[2] or "").lower() == "desc"))
        if match[1] in _UNIQUE and len(keys) <= KEYS:
            return tuple(keys)  # what follows decides nothing any more
    if len(keys) > KEYS:
        raise bad_option("$orderby", f"has {len(keys)} keys, at most {KEYS} are allowed")
    return (*keys, Key("Id", product.c.id, keys[-1].descending))


def token(keys: Sequence[Key], row: RowMapping) -> str:
    """Return the `$skiptoken` of the page that follows `row`."""
    values = [_plain(row[key.column.name]) for key in keys]
    return base64.urlsafe_b64encode(json.dumps([_names(keys), values]).encode()).decode().rstrip("=")


def after(keys: Sequence[Key], text: str) -> ColumnElement[bool]:
    """Return the condition of the rows that follow the one of a `$skiptoken`.

    Raises:
        ODataError: 400 if the token is not one that this service gave for this order.
    """
    values = _values(keys, text)
    condition: ColumnElement[bool] = false()
    for key, value in zip(reversed(keys), reversed(values), strict=True):
        condition = or_(key.after(value), and_(key.equal(value), condition))
    start = keys[0].from_or_after(values[0])
    return condition if start is None else and_(start, condition)


def _values(keys: Sequence[Key], text: str) -> list[Any]:
    wrong = bad_option("$skiptoken", "is not the one of an @odata.nextLink with the same $orderby: start again")
    if len(text) > TOKEN_CHARACTERS:
        raise wrong
    try:
        names, values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
        if names != _names(keys):
            raise wrong
        return [_typed(key, value) for key, value in zip(keys, values, strict=True)]
    except (binascii.Error, ValueError, TypeError, RecursionError) as error:
        raise wrong from error


def _names(keys: Sequence[Key]) -> list[str]:
    return [f"{key.name} {'desc' if key.descending else 'asc'}" for key in keys]


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value


def _typed(key: Key, value: object) -> object:
    """Return a value of the token as one of the key's column; ValueError if it is none."""
    wanted = key.column.type.python_type
    if value is None and key.column.nullable:
        return None
    if wanted is datetime and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment
    if wanted is UUID and isinstance(value, str):
        return UUID(value)
    if type(value) is not wanted or (isinstance(value, str) and "\0" in value):
        raise ValueError(value)
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError(value)
    return value
