"""What is known of a product, read from its metadata documents by the reader of each format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from lxml import etree

from refsys.services.catalogue import footprint
from refsys.services.catalogue.attributes import NOTE
from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.readers import earth_explorer, plain, s1, s2, s3, session
from refsys.services.catalogue.xml import UnreadableError, elements, local
from refsys.services.common.messages import Attribute
from refsys.services.common.names import ProductName

PLATFORMS = {"S1": "SENTINEL-1", "S2": "SENTINEL-2", "S3": "SENTINEL-3"}
SLACK = timedelta(milliseconds=1)  # by which rounded times of one instant may differ
Reader = Callable[[ProductName, etree._Element, Draft], None]

_READERS: dict[str, Reader] = {
    "Earth_Explorer_File": earth_explorer.read,
    "Earth_Explorer_Header": earth_explorer.read,
    "Inventory_Metadata": s2.inventory,
    "DCSU_Session_Information_Block": session.read,
}
_MANIFESTS: dict[str, Reader] = {"S1": s1.read, "S2": s2.manifest, "S3": s3.read}


@dataclass(frozen=True)
class Metadata:
    """The validity or sensing period in UTC, attributes, footprint as GeoJSON, and `details` for the search.

    `timeliness` is that of the chain: PT, NRT or FAST24 of Sentinel-1, NRT, STC or NTC of Sentinel-3, or empty.
    """

    start: datetime
    end: datetime
    attributes: list[Attribute] = field(default_factory=list)
    footprint: dict[str, Any] | None = None
    timeliness: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def read_metadata(name: ProductName, roots: Sequence[etree._Element], draft: Draft | None = None) -> Metadata:
    """Read the metadata documents of a product, best first: the first that tells something is believed."""
    draft = draft or Draft()
    set_value = draft.attributes.set
    set_value("platformShortName", PLATFORMS.get(name.mission))
    set_value("platformSerialIdentifier", name.satellite)
    unknown = []
    for root in roots:
        reader = _reader(name, root)
        if reader is None:
            unknown.append(local(root)[:60])
        else:
            reader(name, root, draft)
    if len(unknown) == len(roots) and roots:
        raise UnreadableError(f"metadata of an unknown format: root element {unknown[0]!r}")
    set_value("productType", name.product_type)
    return _finished(draft)


def _reader(name: ProductName, root: etree._Element) -> Reader | None:
    kind = local(root)
    if kind == "XFDU":
        return _MANIFESTS.get(name.mission)
    if kind in _READERS:
        return _READERS[kind]
    if kind.startswith("Level-"):
        return s2.product
    return plain.read if next(elements(root, "Validity_Start"), None) is not None else None


def _finished(draft: Draft) -> Metadata:
    if draft.start is None or draft.end is None:
        raise UnreadableError("metadata has no period: neither sensing nor validity times")
    if draft.start > draft.end and draft.start - draft.end <= SLACK:
        draft.end = draft.start
    if draft.end < draft.start:
        raise UnreadableError(f"period ends before it starts: {draft.start.isoformat()} to {draft.end.isoformat()}")
    draft.attributes.set("beginningDateTime", draft.start)
    draft.attributes.set("endingDateTime", draft.end)
    geojson, note = footprint.of(draft.rings)
    draft.attributes.set(NOTE, note or draft.ring_problem)
    return Metadata(draft.start, draft.end, draft.attributes.items(), geojson, draft.timeliness, draft.details)
