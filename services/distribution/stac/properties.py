"""What a search may filter and sort by: the names in STAC and of the PRIP, where each is stored, its type."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Numeric, String, func, literal_column
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.model import INDEXED_NUMBERS, INDEXED_TEXTS, product
from refsys.services.distribution.odata.properties import ATTRIBUTES

STAC_ITEM = "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"


class Kind(StrEnum):
    """The types that values are compared as."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    MOMENT = "moment in time"
    STORED_DATE = "date among the attributes"
    GEOMETRY = "geometry"


SCHEMAS: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": "string"},
    Kind.NUMBER: {"type": "number"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.MOMENT: {"type": "string", "format": "date-time"},
    Kind.STORED_DATE: {"type": "string", "format": "date-time"},
    Kind.GEOMETRY: {"$ref": "https://geojson.org/schema/Geometry.json"},
}


@dataclass(frozen=True)
class Property:
    """A property of items; `attribute` is the name under which the product's attributes hold its very value."""

    name: str
    kind: Kind
    sql: ColumnElement[Any]
    title: str
    nullable: bool = True
    attribute: str | None = None
    prefix: str = ""
    """What STAC puts before the stored value."""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its values."""
        return {"title": self.title, **SCHEMAS[self.kind]}


NUMBERS = frozenset(
    {
        "cloudCover",
        "completionTimeFromAscendingNode",
        "cycleNumber",
        "datatakeID",
        "instrumentConfigurationID",
        "lastOrbitNumber",
        "lastRelativeOrbitNumber",
        "orbitNumber",
        "qualityInfo",
        "relativeOrbitNumber",
        "sliceNumber",
        "startTimeFromAscendingNode",
        "totalSlices",
    }
)
DATES = frozenset({"beginningDateTime", "endingDateTime", "processingDate", "segmentStartTime"})
BOOLEANS = frozenset({"sliceProductFlag"})

# STAC name: PRIP attribute with the same value.
SAME_VALUE = {
    "sat:absolute_orbit": "orbitNumber",
    "sat:relative_orbit": "relativeOrbitNumber",
    "sat:orbit_cycle": "cycleNumber",
    "eo:cloud_cover": "cloudCover",
    "sar:instrument_mode": "operationalMode",
    "processing:level": "processingLevel",
    "processing:version": "processorVersion",
    "processing:facility": "processingCenter",
    "processing:datetime": "processingDate",
    "product:timeliness_category": "timeliness",
}


def attribute_sql(name: str, kind: Kind) -> ColumnElement[Any]:
    """Return the value of an attribute (a name of ours, never the client's), as its indexes have it."""
    constant: ColumnElement[str] = literal_column(f"'{name}'")
    if kind is Kind.NUMBER:
        return func.distribution.attribute_number(product.c.attributes, constant, type_=Numeric)
    text: ColumnElement[Any] = func.distribution.attribute_text(product.c.attributes, constant, type_=String)
    return text == "true" if kind is Kind.BOOLEAN else text.collate("C")


def has_index(attribute: str) -> bool:
    """Whether an attribute has an expression index of its own."""
    return attribute in INDEXED_NUMBERS | INDEXED_TEXTS


def _columns() -> list[Property]:
    number = func.substr(product.c.mission, literal_column("2"), type_=String)
    mission: ColumnElement[Any] = (literal_column("'sentinel-'", String) + number).collate("C")
    satellite = func.lower(attribute_sql("platformSerialIdentifier", Kind.TEXT), type_=String)
    columns = product.c
    return [
        Property("id", Kind.TEXT, columns.name, "Identifier, the product's name", nullable=False),
        Property("collection", Kind.TEXT, columns.collection, "Collection", nullable=False),
        Property("datetime", Kind.MOMENT, columns.content_start, "Start of sensing or validity"),
        Property("start_datetime", Kind.MOMENT, columns.content_start, "Start of sensing or validity"),
        Property("end_datetime", Kind.MOMENT, columns.content_end, "End of sensing or validity"),
        Property("created", Kind.MOMENT, columns.publication_date, "Publication", nullable=False),
        Property("updated", Kind.MOMENT, columns.publication_date, "Publication", nullable=False),
        Property("published", Kind.MOMENT, columns.publication_date, "Publication", nullable=False),
        Property("expires", Kind.MOMENT, columns.eviction_date, "Eviction"),
        Property("geometry", Kind.GEOMETRY, columns.footprint, "Footprint"),
        Property("file:size", Kind.NUMBER, columns.content_length, "Size of the product in bytes", nullable=False),
        Property("mission", Kind.TEXT, mission, "Mission", nullable=False),
        Property("constellation", Kind.TEXT, mission, "Constellation", nullable=False),
        Property("platform", Kind.TEXT, (mission + satellite).collate("C"), "Satellite"),
        Property("product:type", Kind.TEXT, columns.product_type, "Product type"),
        Property("productType", Kind.TEXT, columns.product_type, "Product type"),
        Property("sat:orbit_state", Kind.TEXT, _lower("orbitDirection"), "Orbit state"),
        Property("grid:code", Kind.TEXT, attribute_sql("tileId", Kind.TEXT), "Tile", prefix="MGRS-"),
    ]


def _lower(attribute: str) -> ColumnElement[Any]:
    return func.lower(attribute_sql(attribute, Kind.TEXT), type_=String).collate("C")


def _kind(attribute: str) -> Kind:
    if attribute in NUMBERS:
        return Kind.NUMBER
    if attribute in BOOLEANS:
        return Kind.BOOLEAN
    return Kind.STORED_DATE if attribute in DATES else Kind.TEXT


def _attribute(name: str, attribute: str) -> Property:
    kind = _kind(attribute)
    title = f"PRIP attribute {attribute}"
    return Property(name, kind, attribute_sql(attribute, kind), title, attribute=attribute)


def _all() -> dict[str, Property]:
    named = [_attribute(name, attribute) for name, attribute in SAME_VALUE.items()]
    plain = [_attribute(name, name) for name in sorted(ATTRIBUTES - {"productType", "coordinates"})]
    return {each.name: each for each in (*_columns(), *named, *plain)}


PROPERTIES = _all()


def find(name: str, error: Callable[[str], Exception]) -> Property:
    """Return a property by its name, with or without `properties.`; raises what `error` makes of the reason."""
    found = PROPERTIES.get(name.removeprefix("properties."))
    if found is None:
        raise error(f"{ascii(name)[:80]} is not among the queryables, see /queryables")
    return found


def queryables(url: str) -> dict[str, Any]:
    """Return the queryables as JSON Schema; `url` is their own address (OGC API Features, part 3)."""
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": url,
        "type": "object",
        "title": "Queryables",
        "description": "What a filter may name: STAC's names, and the PRIP's names of attributes.",
        "properties": {name: each.schema for name, each in PROPERTIES.items()},
        "additionalProperties": False,
    }
