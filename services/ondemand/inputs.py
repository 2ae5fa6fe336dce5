"""What an order says: read from its JSON, and checked against the process."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeGuard

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import func
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.catalogue.tables import Product
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.stac.geometry import envelope, shape
from refsys.services.ondemand.problems import wrong_input
from refsys.services.ondemand.processes import has_area
from refsys.services.production.chains import ORDER_INPUTS, UserParameter
from refsys.services.production.shelf import Place

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
NAME_CHARACTERS = 255


class Subscriber(BaseModel):
    """Who is told: addresses that states and results are posted to."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    success_uri: str
    in_progress_uri: str | None = None
    failed_uri: str | None = None


class Output(BaseModel):
    """How an output is given: always as links."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    transmission_mode: Literal["reference"] = "reference"


class Outputs(BaseModel):
    """Which outputs are wanted: there is one."""

    model_config = ConfigDict(extra="forbid")

    products: Output = Output()


class Execute(BaseModel):
    """The body of `POST processes/{id}/execution`."""

    model_config = ConfigDict(extra="forbid")

    inputs: dict[str, Any] = Field(default={}, max_length=100)
    outputs: Outputs | None = None
    response: Literal["document"] = "document"
    subscriber: Subscriber | None = None


@dataclass(frozen=True)
class Selection:
    """Which products are processed, and how."""

    names: tuple[str, ...] = ()
    period: tuple[datetime, datetime] | None = None
    areas: tuple[ColumnElement[bool], ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)


def read(place: Place, given: Mapping[str, Any], most: int) -> Selection:
    """Read the inputs of an order.

    Raises:
        ODataError: 400 that says which input is wrong, and why.
    """
    offered = place.table.on_demand.parameters if place.table.on_demand else {}
    allowed = {*offered, *(ORDER_INPUTS if has_area(place) else ORDER_INPUTS - {"bbox", "polygon"})}
    if unknown := sorted(given.keys() - allowed):
        raise wrong_input(unknown[0][:100], f"is no input of this process; it has {', '.join(sorted(allowed))}")
    selection = Selection(
        _names(given["products"], most) if "products" in given else (),
        _period(given["datetime"]) if "datetime" in given else None,
        tuple(_areas(given)),
        {name: _parameter(name, given[name], rule) for name, rule in offered.items() if name in given},
    )
    if not (selection.names or selection.period or selection.areas):
        raise wrong_input("inputs", f"say what is processed, by {', '.join(sorted(ORDER_INPUTS & allowed))}")
    return selection


def _names(given: object, most: int) -> tuple[str, ...]:
    names = given if isinstance(given, list) else [given]
    if not names or not all(_is_text(name) and len(name) <= NAME_CHARACTERS for name in names):
        raise wrong_input("products", "is a name of a product, or a list of them")
    if len(names) > most:
        raise wrong_input("products", f"has {len(names)} names, {most} are possible in one order")
    return tuple(dict.fromkeys(names))


def _period(given: object) -> tuple[datetime, datetime]:
    try:
        begin, end = (_moment(part) for part in str(given).split("/"))
    except (ValueError, OverflowError):
        raise wrong_input("datetime", "is no interval; write 2026-01-01T00:00:00Z/2026-01-02T00:00:00Z") from None
    if end < begin:
        raise wrong_input("datetime", "ends before it begins")
    return begin, end


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _areas(given: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    areas = []
    if "bbox" in given:
        box = given["bbox"]
        if not isinstance(box, dict) or box.get("crs", CRS84) != CRS84 or box.keys() - {"bbox", "crs"}:
            raise wrong_input("bbox", f'is {{"bbox": [west, south, east, north]}}, with no other "crs" than {CRS84}')
        areas.append(envelope("bbox", box.get("bbox")))
    if "polygon" in given:
        polygon = given["polygon"]
        areas.append(shape("polygon", polygon.get("value", polygon) if isinstance(polygon, dict) else polygon))
    return [func.ST_Intersects(Product.footprint, area) for area in areas]


def _parameter(name: str, given: object, rule: UserParameter) -> str:
    if not _is_text(given) or len(given) > 200:
        raise wrong_input(name, "is a text of at most 200 characters")
    if rule.values and given not in rule.values:
        raise wrong_input(name, f"is none of {', '.join(rule.values)}")
    if rule.pattern and not re.fullmatch(rule.pattern, given):
        raise wrong_input(name, f"does not match {rule.pattern}")
    return given


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value) and value.isprintable()


def read_key(text: str | None) -> str | None:
    """Check an `Idempotency-Key`.

    Raises:
        ODataError: 400 if it is none.
    """
    if text is not None and not (0 < len(text) <= NAME_CHARACTERS and text.isascii() and text.isprintable()):
        raise ODataError(400, "InvalidHeader", f"Idempotency-Key has 1 to {NAME_CHARACTERS} printable ASCII characters")
    return text
