"""What tasks of the chain report of a product's way, the same wherever they do (docs/kpi.md)."""

from datetime import datetime
from typing import Any

from refsys.services.common.messages import CatalogEvent, Trace


def seen(trace: Trace, available: datetime | None = None) -> dict[str, Any]:
    """When a file was seen at a station, and since when it was there; nothing of a product that the chain made."""
    if trace.seen is None:
        return {}
    return {"pickup_point_seen": trace.seen, "pickup_point_available": available or trace.station_publication}


def published(event: CatalogEvent, moment: datetime) -> dict[str, Any]:
    """What a product is, and when it reached each step until it was published."""
    trace = event.trace
    return seen(trace) | {
        "product_id": str(event.product_id),
        "family": event.product_family,
        "station": event.station_name,
        "timeliness": event.timeliness,
        "t0_pdgs": _t0(event),
        "ingestion": trace.stored,
        "catalog_storage": trace.catalogued,
        "prip_storage": moment,
    }


def _t0(event: CatalogEvent) -> datetime | None:
    """Since when all that the product is made of was there; the PRIP shows it as OriginDate."""
    try:
        moment = datetime.fromisoformat(str(event.additional_fields["t0PdgsDate"]))
    except (KeyError, ValueError):
        return event.trace.station_publication
    return moment if moment.tzinfo else event.trace.station_publication
