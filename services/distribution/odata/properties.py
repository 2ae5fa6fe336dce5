"""The scalar properties of a PRIP product, the columns they are read from, and the known attribute names."""

from typing import Any

from sqlalchemy import Column

from refsys.services.distribution.model import product
from refsys.services.distribution.odata.operands import Expression, Kind

_COLUMNS: dict[str, tuple[Kind, Column[Any]]] = {
    "Id": (Kind.GUID, product.c.id),
    "Name": (Kind.TEXT, product.c.name),
    "Online": (Kind.BOOLEAN, product.c.online),
    "ContentType": (Kind.TEXT, product.c.content_type),
    "ContentLength": (Kind.NUMBER, product.c.content_length),
    "PublicationDate": (Kind.DATE, product.c.publication_date),
    "EvictionDate": (Kind.DATE, product.c.eviction_date),
    "OriginDate": (Kind.DATE, product.c.origin_date),
    "ProductionType": (Kind.PRODUCTION_TYPE, product.c.production_type),
    "ContentDate/Start": (Kind.DATE, product.c.content_start),
    "ContentDate/End": (Kind.DATE, product.c.content_end),
    "Collection/Name": (Kind.COLLECTION, product.c.mission),
}

PROPERTIES = {name: Expression(name, kind, column) for name, (kind, column) in _COLUMNS.items()}

# PRIP ICD: every property of the product can order the result, its collection can't.
ORDERABLE = {name: column for name, (_, column) in _COLUMNS.items() if name != "Collection/Name"}

# The attribute names that Sentinel products carry; clients may use them like properties.
ATTRIBUTES = frozenset(
    {
        "baselineCollection",
        "beginningDateTime",
        "cloudCover",
        "completionTimeFromAscendingNode",
        "coordinates",
        "cycleNumber",
        "datastripId",
        "datatakeID",
        "endingDateTime",
        "instrumentConfigurationID",
        "instrumentShortName",
        "lastOrbitNumber",
        "lastRelativeOrbitNumber",
        "operationalMode",
        "orbitDirection",
        "orbitNumber",
        "platformSerialIdentifier",
        "platformShortName",
        "polarisationChannels",
        "processingCenter",
        "processingDate",
        "processingLevel",
        "processorName",
        "processorVersion",
        "productClass",
        "productComposition",
        "productConsolidation",
        "productGroupId",
        "productType",
        "qualityInfo",
        "qualityStatus",
        "relativeOrbitNumber",
        "segmentStartTime",
        "sliceNumber",
        "sliceProductFlag",
        "startTimeFromAscendingNode",
        "swathIdentifier",
        "tileId",
        "timeliness",
        "totalSlices",
    }
)
