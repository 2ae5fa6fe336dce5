"""The STAC collections: titles by identifier, and their JSON (STAC 1.1, Collection Specification).

Which product belongs to which collection is said by one table, in migration 0008; the column
`distribution.product.collection` follows from it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from refsys.services.distribution.odata.serialise import timestamp

STAC_VERSION = "1.1.0"
WORLD = [-180.0, -90.0, 180.0, 90.0]
LICENCE_URL = (
    "https://sentinel.esa.int/documents/247904/690755/Sentinel_Data_Legal_Notice"  # terms of all Sentinel data
)
QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"

TITLES = {
    "sentinel-1-raw": "Sentinel-1 Level-0 raw data",
    "sentinel-1-slc": "Sentinel-1 Level-1 single look complex",
    "sentinel-1-grd": "Sentinel-1 Level-1 ground range detected",
    "sentinel-1-ocn": "Sentinel-1 Level-2 ocean",
    "sentinel-1-etad": "Sentinel-1 extended timing annotation dataset",
    "sentinel-1-plans": "Sentinel-1 mission plans and reports",
    "sentinel-1-aux": "Sentinel-1 auxiliary data and orbits",
    "sentinel-2-l0": "Sentinel-2 MSI Level-0 granules and datastrips",
    "sentinel-2-l1a": "Sentinel-2 MSI Level-1A granules and datastrips",
    "sentinel-2-l1b": "Sentinel-2 MSI Level-1B granules and datastrips",
    "sentinel-2-l1c": "Sentinel-2 MSI Level-1C, top of atmosphere",
    "sentinel-2-l2a": "Sentinel-2 MSI Level-2A, surface reflectance",
    "sentinel-2-hktm": "Sentinel-2 housekeeping telemetry",
    "sentinel-2-aux": "Sentinel-2 auxiliary data",
    "sentinel-3-olci-l0": "Sentinel-3 OLCI Level-0",
    "sentinel-3-olci-l1": "Sentinel-3 OLCI Level-1",
    "sentinel-3-olci-l2": "Sentinel-3 OLCI Level-2",
    "sentinel-3-slstr-l0": "Sentinel-3 SLSTR Level-0",
    "sentinel-3-slstr-l1": "Sentinel-3 SLSTR Level-1",
    "sentinel-3-slstr-l2": "Sentinel-3 SLSTR Level-2",
    "sentinel-3-sral-l0": "Sentinel-3 SRAL altimeter Level-0",
    "sentinel-3-sral-l1": "Sentinel-3 SRAL altimeter Level-1",
    "sentinel-3-sral-l2": "Sentinel-3 SRAL altimeter Level-2",
    "sentinel-3-mwr-l0": "Sentinel-3 microwave radiometer Level-0",
    "sentinel-3-mwr-l1": "Sentinel-3 microwave radiometer Level-1",
    "sentinel-3-syn-l1": "Sentinel-3 OLCI and SLSTR synergy Level-1",
    "sentinel-3-syn-l2": "Sentinel-3 OLCI and SLSTR synergy Level-2",
    "sentinel-3-doris-l0": "Sentinel-3 DORIS Level-0",
    "sentinel-3-gnss-l0": "Sentinel-3 GNSS receiver Level-0",
    "sentinel-3-tm-l0": "Sentinel-3 telemetry Level-0",
    "sentinel-3-aux": "Sentinel-3 auxiliary data",
}


@dataclass(frozen=True)
class Collection:
    """A collection that holds products; `first` is the earliest start of their periods."""

    id: str
    first: datetime


def collection_json(collection: Collection, url: str) -> dict[str, Any]:
    """Return a collection; `url` is the address of the API without a slash at its end.

    The period is open, since products keep coming; the area is the mission's, the whole Earth.
    """
    own = f"{url}/collections/{collection.id}"
    title = TITLES.get(collection.id, collection.id)
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": collection.id,
        "title": title,
        "description": f"{title}: the products published by the PRIP of this system.",
        "license": "other",
        "keywords": ["Copernicus", "-".join(collection.id.split("-")[:2]).capitalize()],
        "providers": [
            {
                "name": "European Union/ESA/Copernicus",
                "roles": ["producer", "licensor"],
                "url": "https://www.copernicus.eu",
            }
        ],
        "extent": {
            "spatial": {"bbox": [WORLD]},
            "temporal": {"interval": [[timestamp(collection.first), None]]},
        },
        "links": [
            {"rel": "self", "type": "application/json", "href": own},
            {"rel": "root", "type": "application/json", "href": f"{url}/"},
            {"rel": "parent", "type": "application/json", "href": f"{url}/"},
            {"rel": "items", "type": "application/geo+json", "href": f"{own}/items"},
            {"rel": QUERYABLES, "type": "application/schema+json", "href": f"{own}/queryables"},
            {"rel": "license", "type": "application/pdf", "href": LICENCE_URL},
        ],
    }
