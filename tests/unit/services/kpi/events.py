"""Catalogue events, and the records in which their REPORT lines come from a node."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from refsys.services.common.messages import CatalogEvent, Trace

T0 = datetime(2026, 11, 1, 12, tzinfo=UTC)


def event(name: str, **changes: Any) -> CatalogEvent:
    """The event of a file that a station published at `T0`."""
    values: dict[str, Any] = {
        "mission_id": "S1",
        "satellite_id": "S1A",
        "key_object_storage": name,
        "storage_path": f"s3://bucket/{name}",
        "product_family": "L0_SLICE",
        "product_size_byte": 1,
        "station_name": "MTI_",
        "checksums": [],
        "trace": Trace(station_publication=T0, seen=T0, stored=T0, catalogued=T0),
        "product_id": uuid5(NAMESPACE_URL, name),
        "content_date_start": T0,
        "content_date_end": T0,
        "content_type": "application/octet-stream",
        "attributes": [],
        "timeliness": "NRT",
    }
    return CatalogEvent(**(values | changes))


def record(line: str, namespace: str = "processing") -> bytes:
    """A line of a pod as the node's collector sends it."""
    fields = {
        "@timestamp": "2026-11-01T12:00:00.000000Z",
        "host": "w1",
        "source": "container",
        "program": "publisher",
        "severity": "info",
        "message": line,
        "namespace": namespace,
        "pod": "publisher-1",
        "container": "publisher",
    }
    return json.dumps(fields, separators=(", ", ":")).encode()


def records(lines: Iterable[str]) -> Sequence[bytes]:
    """The records of lines."""
    return [record(line) for line in lines]
