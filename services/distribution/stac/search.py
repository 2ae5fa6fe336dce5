"""A search as the API gets it, in either form, and as one query."""

import datetime as dates
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.sql.elements import ColumnElement
from stac_fastapi.types.rfc3339 import str_to_interval

from refsys.services.distribution.model import product
from refsys.services.distribution.stac import cql2_text, filter, geometry, temporal  # noqa: A004
from refsys.services.distribution.stac.errors import bad_request, clean_text
from refsys.services.distribution.stac.fields import Fields
from refsys.services.distribution.stac.paging import Key, keys

LIMIT = 10
MAX_LIMIT = 1000
MAX_NAMES = 1000
CRS84 = {
    "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
    "https://www.opengis.net/def/crs/OGC/1.3/CRS84",
    "http://www.opengis.net/def/crs/OGC/0/CRS84h",
}


@dataclass(frozen=True)
class Search:
    """One page of one search."""

    conditions: Sequence[ColumnElement[bool]]
    order: tuple[Key, ...]
    limit: int
    token: str | None = None
    count: bool = False
    fields: Fields | None = field(default=None)


def build(
    *,
    collections: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    bbox: Sequence[float] | None = None,
    intersects: object = None,
    datetime: str | None = None,
    filter_expr: object = None,
    filter_lang: str | None = None,
    filter_crs: str | None = None,
    sortby: Sequence[str] | None = None,
    fields: Fields | None = None,
    limit: int | None = None,
    token: str | None = None,
    count: bool | None = None,
) -> Search:
    """Return the search of checked parameters.

    Matches are counted if asked for, and for a page of one item: so clients ask how many there are.

    Raises:
        ODataError: 400 that names the parameter and what is wrong with it.
    """
    if bbox is not None and intersects is not None:
        raise bad_request("intersects", "cannot be combined with bbox: give one of them")
    conditions = [
        *_names("collections", product.c.collection, collections),
        *_names("ids", product.c.name, ids),
        *([geometry.in_box(bbox)] if bbox is not None else ()),
        *([geometry.footprint_touches("intersects", intersects)] if intersects is not None else ()),
        *_period(datetime),
        *_filter(filter_expr, filter_lang, filter_crs),
    ]
    wanted = LIMIT if limit is None else min(limit, MAX_LIMIT)
    counted = count if count is not None else limit == 1 and token is None
    return Search(conditions, keys(sortby), wanted, token, counted, fields)


def json_of(parameter: str, text: str) -> object:
    """Return the JSON of a parameter of GET; 400 if it is none."""
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad_request(parameter, f"is not JSON: {str(error)[:200]}") from error
    return found


def _names(parameter: str, column: ColumnElement[str], names: Sequence[str] | None) -> list[ColumnElement[bool]]:
    if not names:
        return []
    if len(names) > MAX_NAMES:
        raise bad_request(parameter, f"has {len(names)} values, {MAX_NAMES} are allowed")
    known = [clean_text(parameter, name) for name in names]
    return [column == known[0] if len(known) == 1 else column.in_(known)]


def _period(text: str | None) -> list[ColumnElement[bool]]:
    if not text:
        return []
    found = str_to_interval(text)
    if isinstance(found, dates.datetime):
        return [temporal.within(found, found)]
    return [temporal.within(*found)] if found else []


def _filter(expression: object, language: str | None, crs: str | None) -> list[ColumnElement[bool]]:
    if crs is not None and crs not in CRS84:
        raise bad_request("filter-crs", "only http://www.opengis.net/def/crs/OGC/1.3/CRS84 is known")
    if expression is None or expression == "":
        return []
    if isinstance(expression, str):
        is_json = language == "cql2-json"
        expression = json_of("filter", expression) if is_json else cql2_text.parse(expression)
    return [filter.where(expression)]
