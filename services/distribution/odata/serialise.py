"""Products and attributes in OData JSON, with the field names and formats of the PRIP ICD."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import shapely
from sqlalchemy import RowMapping

from refsys.services.distribution.odata.query import Shape

_ATTRIBUTE_DATE = "DateTimeOffset"


def timestamp(moment: datetime | None) -> str | None:
    """Return a date as the PRIP shows it: UTC with milliseconds and Z."""
    if moment is None:
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def product_json(row: RowMapping, shape: Shape, root: str) -> dict[str, Any]:
    """Return one product in the shape asked for; `root` is the service root that clients know."""
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
    if shape.select is not None:
        entity = {key: value for key, value in entity.items() if key in shape.select or key.startswith("@")}
    if "Attributes" in shape.expand:
        entity["Attributes"] = attributes_json(row["attributes"])
    if "Quicklooks" in shape.expand:
        entity["Quicklooks"] = quicklooks_json(row["quicklooks"])
    if "Assets" in shape.expand:
        entity["Assets"] = _assets_json(row["id"], row["quicklooks"], root)
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


def quicklooks_json(quicklooks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the quicklooks of a product."""
    return [{"@odata.mediaContentType": each["contentType"], "Image": each["image"]} for each in quicklooks]


def _assets_json(product_id: UUID, quicklooks: Iterable[Mapping[str, Any]], root: str) -> list[dict[str, Any]]:
    """Return the quicklooks the way clients of the Copernicus data space look for them."""
    return [
        {
            "Type": "QUICKLOOK",
            "Id": str(uuid5(NAMESPACE_URL, f"{product_id}/{each['image']}")),
            "DownloadLink": f"{root}/Products({product_id})/Quicklooks('{each['image']}')/$value",
        }
        for each in quicklooks
    ]


def footprint_text(geojson: str | None) -> str | None:
    """Return a footprint as the ICD's literal `geography'SRID=4326;POLYGON((lon lat,…))'`."""
    if geojson is None:
        return None
    shape = json.loads(geojson)
    if shape["type"] in {"Polygon", "MultiPolygon"} and shape["coordinates"]:
        return f"geography'SRID=4326;{shape['type'].upper()}{_wkt(shape['coordinates'])}'"
    wkt = shapely.from_geojson(geojson).wkt
    return f"geography'SRID=4326;{wkt.replace(' (', '(').replace(', ', ',')}'"


def _wkt(coordinates: list[Any]) -> str:
    """Return a position, or a list of them to any depth, as WKT writes it."""
    if not isinstance(coordinates[0], list):
        return " ".join(format(degrees, ".12g") for degrees in coordinates)
    return f"({','.join(map(_wkt, coordinates))})"


def _checksum(checksum: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Algorithm": checksum["algorithm"],
        "Value": checksum["value"],
        "ChecksumDate": timestamp(datetime.fromisoformat(checksum["checksumDate"])),
    }


def _short_date(stored: str) -> str | None:
    return timestamp(datetime.fromisoformat(stored))
