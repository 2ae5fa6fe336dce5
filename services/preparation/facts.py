"""What is known of the product that made a job, kept with the job."""

import re
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from pydantic import Field

from refsys.services.common.families import SESSION_FAMILIES
from refsys.services.common.messages import CatalogEvent, Model, Timestamp
from refsys.services.common.names import ProductName, parse_name

DATA_TAKE = "datatakeID"
_DOWNLINK = re.compile(r"(?:^L|_)(\d{14})", re.ASCII)


class Facts(Model):
    """Of the triggering product: what it is, and when it came down and in; `key` is its session or data take.

    Of a job that somebody ordered: `ordered`, when, and the `parameters` that were set.
    """

    product_id: UUID
    name: str
    product_type: str
    family: str
    station: str = ""
    key: str = ""
    follows: str = ""
    downlink: Timestamp
    ingestion: Timestamp
    attributes: dict[str, str | int | float | bool] = Field(default_factory=dict)
    ordered: Timestamp | None = None
    parameters: dict[str, str] = Field(default_factory=dict)


def facts_of(event: CatalogEvent, name: ProductName) -> Facts:
    """What an event tells of its product, for the job it makes."""
    attributes = {each.name: each.value for each in event.attributes}
    ingestion = event.trace.stored or event.trace.catalogued or event.creation_date
    return Facts(
        product_id=event.product_id,
        name=event.key_object_storage,
        product_type=name.product_type,
        family=event.product_family,
        station=event.station_name,
        key=key_of(event, name),
        follows=str(event.uid),
        downlink=_downlink(event, name) or t0_of(event.additional_fields, event.trace.station_publication) or ingestion,
        ingestion=ingestion,
        attributes=attributes,
    )


def name_of(event: CatalogEvent) -> ProductName:
    """What the name of an event's product tells; raises `InvalidNameError`."""
    key = event.key_object_storage
    return parse_name(PurePosixPath(key).name if event.product_family in SESSION_FAMILIES else key)


def key_of(event: CatalogEvent, name: ProductName) -> str:
    """The session or data take that a product belongs to; empty if to none."""
    if event.product_family in SESSION_FAMILIES:
        return name.fields.get("session", "")
    return next((data_take(event.satellite_id, each.value) for each in event.attributes if each.name == DATA_TAKE), "")


def data_take(satellite: str, number: Any) -> str:
    """A data take of a satellite as one word."""
    return f"{satellite}-{number}"


def t0_of(additional_fields: Any, publication: datetime | None) -> datetime | None:
    """Since when all that a product is made of was there."""
    try:
        moment = datetime.fromisoformat(str(additional_fields["t0PdgsDate"]))
    except (KeyError, ValueError):
        return publication
    return moment if moment.tzinfo else publication


def _downlink(event: CatalogEvent, name: ProductName) -> datetime | None:
    """When a session was received, as its id tells, and at least until its end."""
    if event.product_family not in SESSION_FAMILIES:
        return None
    found = _DOWNLINK.search(name.fields.get("session", ""))
    try:
        begun = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        begun = None
    return begun or event.content_date_end
