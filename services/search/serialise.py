"""Catalogued products as JSON, with the field names of the chain's metadata search."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from refsys.services.common.messages import iso


def product_json(row: RowMapping) -> dict[str, Any]:
    """One product: where it lies, its validity, what is known of it. Times are ISO 8601 in UTC."""
    return {
        "productName": row["name"],
        "productType": row["product_type"],
        "productFamily": row["family"],
        "keyObjectStorage": row["key"],
        "storagePath": f"s3://{row['bucket']}/{row['key']}",
        "productSizeByte": row["size"],
        "missionId": row["mission"],
        "satelliteId": row["satellite"],
        "stationName": row["station"],
        "timeliness": row["timeliness"],
        "validityStart": _time(row["content_start"]),
        "validityStop": _time(row["content_end"]),
        "creationTime": _time(row["generated"]),
        "insertionTime": _time(row["created"]),
        "dataTakeId": row["datatake_id"],
        "absoluteStartOrbit": row["orbit_start"],
        "absoluteStopOrbit": row["orbit_end"],
        "sessionId": row["session_id"],
        "footprint": json.loads(row["footprint"]) if row["footprint"] else None,
        "attributes": {each["name"]: each["value"] for each in row["attributes"]},
        "details": row["details"],
    }


def invalid_json(row: RowMapping) -> dict[str, Any]:
    """One product that could not be understood, and why."""
    return {
        "productName": row["name"],
        "productFamily": row["family"],
        "missionId": row["mission"],
        "satelliteId": row["satellite"],
        "stationName": row["station"],
        "storagePath": f"s3://{row['bucket']}/{row['key']}",
        "productSizeByte": row["size"],
        "reason": row["reason"],
        "insertionTime": _time(row["created"]),
        "lastTried": _time(row["modified"]),
    }


def _time(moment: datetime | None) -> str | None:
    return iso(moment) if moment else None
