"""A published product as a STAC item (STAC 1.1, Item Specification, and the extensions named in `EXTENSIONS`)."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from sqlalchemy import RowMapping

from refsys.services.distribution.odata.serialise import timestamp
from refsys.services.distribution.stac.collections import STAC_VERSION
from refsys.services.distribution.stac.geometry import bounds
from refsys.services.distribution.stac.properties import SAME_VALUE

Json = dict[str, Any]
Row = Mapping[str, Any] | RowMapping

SCHEME = "openid"
_ADDRESS = "https://stac-extensions.github.io/{}/schema.json"
EXTENSIONS = {
    "sat": _ADDRESS.format("sat/v1.0.0"),
    "sar": _ADDRESS.format("sar/v1.0.0"),
    "eo": _ADDRESS.format("eo/v1.1.0"),
    "grid": _ADDRESS.format("grid/v1.1.0"),
    "processing": _ADDRESS.format("processing/v1.2.0"),
    "product": _ADDRESS.format("product/v1.0.0"),
}
ALWAYS = (
    _ADDRESS.format("timestamps/v1.1.0"),
    _ADDRESS.format("file/v2.1.0"),
    _ADDRESS.format("authentication/v1.1.0"),
)
# ISO 8601 durations of the timeliness categories (Sentinel-1, -3 product specifications).
TIMELINESS = {
    "NRT": "PT3H",
    "NR": "PT3H",
    "NRT-3H": "PT3H",
    "NRT-1H": "PT1H",
    "NRT-10M": "PT10M",
    "PT": "PT3H",
    "FAST24": "PT24H",
    "FAST-24H": "PT24H",
    "STC": "PT48H",
    "ST": "PT48H",
    "NTC": "P30D",
    "NT": "P30D",
}
# Multihash codes and lengths as varints, strongest first (multiformats table).
MULTIHASH = {
    "SHA3-512": "1440",
    "SHA-512": "1340",
    "SHA3-256": "1620",
    "SHA-256": "1220",
    "SHA-1": "1114",
    "MD5": "d50110",
}
_POSITIVE = {"sat:absolute_orbit", "sat:relative_orbit", "sat:orbit_cycle"}
_TEXTS = {name for name in SAME_VALUE if name.startswith(("processing:", "sar:"))}
# Shown under STAC's names, or as the period of the item.
_SHOWN = {
    *SAME_VALUE.values(),
    "productType",
    "tileId",
    "orbitDirection",
    "polarisationChannels",
    "platformShortName",
    "platformSerialIdentifier",
    "instrumentShortName",
    "processorName",
    "beginningDateTime",
    "endingDateTime",
    "coordinates",
}


class Addresses(NamedTuple):
    """The addresses that items point at, without a slash at the end."""

    stac: str
    prip: str
    issuer: str

    @property
    def scheme(self) -> Json:
        """How to get a token (authentication extension)."""
        return {"type": "openIdConnect", "openIdConnectUrl": f"{self.issuer}/.well-known/openid-configuration"}


def item_json(row: Row, addresses: Addresses) -> Json:
    """Return the item of a row of `distribution.product`; its identifier is the product's name, unchanged."""
    collection = f"{addresses.stac}/collections/{row['collection']}"
    geometry: Json | None = json.loads(row["footprint"]) if row["footprint"] else None
    properties = _properties(row)
    used = {name.partition(":")[0] for name in properties}
    item: Json = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [*ALWAYS, *(url for prefix, url in EXTENSIONS.items() if prefix in used)],
        "id": row["name"],
        "collection": row["collection"],
        "geometry": geometry,
        "properties": properties | {"auth:schemes": {SCHEME: addresses.scheme}},
        "links": [
            {
                "rel": "self",
                "type": "application/geo+json",
                "href": f"{collection}/items/{quote(row['name'], safe='')}",
            },
            {"rel": "parent", "type": "application/json", "href": collection},
            {"rel": "collection", "type": "application/json", "href": collection},
            {"rel": "root", "type": "application/json", "href": f"{addresses.stac}/"},
        ],
        "assets": {"product": _asset(row, addresses)},
    }
    if geometry is not None:
        item["bbox"] = bounds(geometry)
    return item


def multihash(checksums: list[dict[str, Any]]) -> str | None:
    """Return the strongest of the checksums as a hexadecimal multihash; None if there is none of a known kind."""
    values = {each["algorithm"]: str(each["value"]).lower() for each in checksums}
    for algorithm, prefix in MULTIHASH.items():
        value = values.get(algorithm, "")
        if re.fullmatch(r"[0-9a-f]+", value) and len(value) == 2 * int(prefix[-2:], 16):
            return prefix + value
    return None


def _asset(row: Row, addresses: Addresses) -> Json:
    asset = {
        "href": f"{addresses.prip}/odata/v1/Products({row['id']})/$value",
        "title": row["name"],
        "type": row["content_type"],
        "roles": ["data"],
        "file:size": row["content_length"],
        "file:local_path": row["name"],
        "auth:refs": [SCHEME],
    }
    if checksum := multihash(row["checksums"]):
        asset["file:checksum"] = checksum
    return asset


def _properties(row: Row) -> Json:
    attributes: dict[str, Any] = {
        name: _shown(attribute) for name, attribute in row["attributes"].items() if attribute["value"] is not None
    }
    published = timestamp(row["publication_date"])
    properties: Json = {
        "datetime": timestamp(row["content_start"]),
        "start_datetime": timestamp(row["content_start"]),
        "end_datetime": timestamp(row["content_end"]),
        "created": published,
        "updated": published,
        "published": published,
        **_instrument(row, attributes),
        **{name: attributes[stored] for name, stored in SAME_VALUE.items() if stored in attributes},
        **_orbit(attributes),
        **{name: value for name, value in attributes.items() if name not in _SHOWN},
    }
    if row["eviction_date"] is not None:
        properties["expires"] = timestamp(row["eviction_date"])
    if row["product_type"]:
        properties["product:type"] = row["product_type"]
    if (name := attributes.get("processorName")) and (version := attributes.get("processorVersion")):
        properties["processing:software"] = {str(name): str(version)}
    _only_valid(row, properties, attributes)
    return properties


def _instrument(row: Row, attributes: Mapping[str, Any]) -> Json:
    mission = f"sentinel-{row['mission'][1:]}"
    found: Json = {"mission": mission, "constellation": mission}
    if "platformSerialIdentifier" in attributes:
        found["platform"] = mission + str(attributes["platformSerialIdentifier"]).lower()
    if instrument := attributes.get("instrumentShortName"):
        found["instruments"] = [str(instrument).lower()]
    return found


def _orbit(attributes: Mapping[str, Any]) -> Json:
    found: Json = {}
    if (state := str(attributes.get("orbitDirection", "")).lower()) in {"ascending", "descending"}:
        found["sat:orbit_state"] = state
    if tile := attributes.get("tileId"):
        found["grid:code"] = f"MGRS-{tile}"
    return found


def _only_valid(row: Row, properties: Json, attributes: Mapping[str, Any]) -> None:
    """Complete and prune what the extensions' schemas tie together."""
    for name in _POSITIVE & properties.keys():
        if not isinstance(properties[name], int) or properties[name] < 1:
            del properties[name]
    for name in _TEXTS & properties.keys():
        properties[name] = str(properties[name])
    cover = properties.get("eo:cloud_cover")
    if cover is not None and not (isinstance(cover, int | float) and 0 <= cover <= 100):
        del properties["eo:cloud_cover"]
    category = properties.get("product:timeliness_category")
    if category is not None:
        if duration := TIMELINESS.get(str(category).upper()):
            properties["product:timeliness"] = duration
        else:
            properties["timeliness"] = properties.pop("product:timeliness_category")
    polarisations = [each for each in ("HH", "HV", "VH", "VV") if each in _polarisations(attributes)]
    if row["mission"] == "S1" and polarisations and "sar:instrument_mode" in properties:
        properties["sar:frequency_band"] = "C"
        properties["sar:polarizations"] = polarisations
    elif "sar:instrument_mode" in properties:
        properties["operationalMode"] = properties.pop("sar:instrument_mode")


def _polarisations(attributes: Mapping[str, Any]) -> list[str]:
    return re.findall(r"[HV]{2}", str(attributes.get("polarisationChannels", "")).upper())


def _shown(attribute: Mapping[str, Any]) -> Any:
    if attribute["type"] == "DateTimeOffset":
        return timestamp(datetime.fromisoformat(attribute["value"]))
    return attribute["value"]
