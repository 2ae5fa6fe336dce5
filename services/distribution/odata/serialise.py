"""Products and attributes in OData JSON, with the field names and formats of the PRIP ICD."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import shapely
from sqlalchemy import RowMapping

_ATTRIBUTE_DATE = "DateTimeOffset"


def timestamp(moment: datetime | None) -> str | None:
    """Return a date as the PRIP shows it: UTC with milliseconds and Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def product_json(row: RowMapping, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return one product; `expand` names the navigation properties to include."""
    footprint = row["footprint"]
    entity: dict[str, Any] = {
        "@odata.mediaContentType": row["content_type"],
        "Id": str(row["id"]),
        "Name": row["name"],
        "ContentType": row["content_type"],
        "ContentLength": row["content_length"],
        "OriginDate": timestamp(row["origin_date"]),
        "PublicationDate": timestamp(row["publication_date"]),
        "EvictionDate": timestamp(row["eviction_date"]),
        "Online": row["online"],
        "Checksum": [_checksum(each) for each in row["checksums"]],
        "ProductionType": row["production_type"],
        "ContentDate": {"Start": timestamp(row["content_start"]), "End": timestamp(row["content_end"])},
        "Footprint": footprint_text(footprint),
        "GeoFootprint": json.loads(footprint) if footprint else None,
    }
    if "Attributes" in expand:
        entity["Attributes"] = attributes_json(row["attributes"])
    for name in ("Quicklooks", "Assets"):
        if name in expand:
            entity[name] = []
    return entity


def attributes_json(attributes: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the attributes of a product, each with its OData type."""
    return [
        {
            "@odata.type": f"#OData.CSC.{attribute['type']}Attribute",
            "Name": name,
            "ValueType": attribute["type"],
            "Value": _short_date(attribute["value"]) if attribute["type"] == _ATTRIBUTE_DATE else attribute["value"],
        }
        for name, attribute in sorted(attributes.items())
    ]


def footprint_text(geojson: str | None) -> str | None:
    """Return a footprint as the ICD's literal `geography'SRID=4326;POLYGON((lon lat,…))'`."""
    if geojson is None:
        return None
    wkt = shapely.from_geojson(geojson).wkt
    return f"geography'SRID=4326;{wkt.replace(' (', '(').replace(', ', ',')}'"


def _checksum(checksum: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Algorithm": checksum["algorithm"],
        "Value": checksum["value"],
        "ChecksumDate": timestamp(datetime.fromisoformat(checksum["checksumDate"])),
    }


def _short_date(stored: str) -> str | None:
    return timestamp(datetime.fromisoformat(stored))
