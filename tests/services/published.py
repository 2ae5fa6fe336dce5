"""Catalogue events for the tests of the publisher and the PRIP."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from refsys.services.common.messages import Attribute, AttributeType, CatalogEvent, Checksum, Trace

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
BUCKET = "rs-s1-aux"


def event(name: str, content: bytes = b"", hours: int = 0, **changes: Any) -> CatalogEvent:
    """The event of a product with this content, valid for an hour from `EPOCH` + `hours`."""
    start = EPOCH + timedelta(hours=hours)
    values: dict[str, Any] = {
        "mission_id": name[:2],
        "satellite_id": name[2],
        "key_object_storage": name,
        "storage_path": f"s3://{BUCKET}/{name}",
        "product_family": "AUXILIARY_FILE",
        "product_size_byte": len(content),
        "station_name": "ADGS",
        "checksums": [
            Checksum(algorithm="MD5", value=hashlib.md5(content).hexdigest(), checksum_date=start)  # noqa: S324
        ],
        "trace": Trace(station_publication=EPOCH, seen=EPOCH, stored=EPOCH, catalogued=EPOCH),
        "product_id": uuid5(NAMESPACE_URL, name),
        "content_date_start": start,
        "content_date_end": start + timedelta(hours=1),
        "content_type": "application/octet-stream",
        "attributes": attributes(productType="AUX_RESORB", orbitNumber=50_000 + hours),
    }
    return CatalogEvent(**(values | changes))


def attributes(**values: str | int | float | bool | datetime) -> list[Attribute]:
    """Attributes of the types of the given values."""
    types = {
        str: AttributeType.STRING,
        bool: AttributeType.BOOLEAN,
        int: AttributeType.INTEGER,
        float: AttributeType.DOUBLE,
        datetime: AttributeType.DATE,
    }
    return [
        Attribute(
            name=name,
            type=types[type(value)],
            value=value.isoformat() if isinstance(value, datetime) else value,
        )
        for name, value in values.items()
    ]
