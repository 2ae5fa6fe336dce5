"""Clients of stations, one module a protocol."""

from collections.abc import Callable
from typing import Any

from refsys.services.ingestion.orders import Orders
from refsys.services.ingestion.source import Source
from refsys.services.ingestion.sources.auxip import AuxipSource
from refsys.services.ingestion.sources.cadip import CadipSource
from refsys.services.ingestion.sources.edip import EdipSource
from refsys.services.ingestion.sources.folder import FolderSource
from refsys.services.ingestion.sources.lta import LtaSource
from refsys.services.ingestion.sources.s3 import S3Source
from refsys.services.ingestion.sources.xbip import XbipSource
from refsys.services.ingestion.stations import LtaStation, Station

_SOURCES: dict[str, Callable[[Any], Source]] = {
    "auxip": AuxipSource,
    "prip": AuxipSource,
    "cadip": CadipSource,
    "xbip": XbipSource,
    "edip": EdipSource,
    "s3": S3Source,
    "folder": FolderSource,
}


def open_source(station: Station, orders: Orders) -> Source:
    """The client of a station; it requests nothing yet. `orders` is where a long-term archive's orders are kept."""
    if isinstance(station, LtaStation):
        return LtaSource(station, orders)
    return _SOURCES[station.type](station)
