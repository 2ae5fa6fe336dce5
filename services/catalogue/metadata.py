"""What is known of a product, and the readers of the metadata formats it may come in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lxml import etree

from refsys.services.catalogue import footprint
from refsys.services.catalogue.attributes import Attributes
from refsys.services.catalogue.xml import OPEN_END, UnreadableError, attribute, elements, local, moment, text
from refsys.services.common.messages import Attribute
from refsys.services.common.names import ProductName

PLATFORMS = {"S1": "SENTINEL-1", "S2": "SENTINEL-2", "S3": "SENTINEL-3"}


@dataclass(frozen=True)
class Metadata:
    """The validity or sensing period in UTC, the attributes, and the footprint as GeoJSON if there is one."""

    start: datetime
    end: datetime
    attributes: list[Attribute] = field(default_factory=list)
    footprint: dict[str, Any] | None = None


def read_metadata(name: ProductName, root: etree._Element) -> Metadata:
    """Read the metadata document of a product, whichever of the known formats it has."""
    reader = _READERS.get(local(root))
    if reader is None and next(elements(root, "Validity_Start"), None) is not None:
        reader = _plain
    if reader is None:
        raise UnreadableError(f"metadata of an unknown format: root element {local(root)!r}")
    attributes = Attributes()
    attributes.set("platformShortName", PLATFORMS[name.mission])
    attributes.set("platformSerialIdentifier", name.satellite)
    attributes.set("productType", name.product_type)
    start, end = reader(name, root, attributes)
    if end < start:
        raise UnreadableError(f"period ends before it starts: {start.isoformat()} to {end.isoformat()}")
    attributes.set("beginningDateTime", start)
    attributes.set("endingDateTime", end)
    return Metadata(start, end, attributes.items(), footprint.of(root))


Period = tuple[datetime, datetime]


def _earth_explorer(name: ProductName, root: etree._Element, attributes: Attributes) -> Period:
    """Earth Explorer header (PE-TN-ESA-GS-0001): the fixed header tells all."""
    header = next(elements(root, "Fixed_Header"), None)
    if header is None:
        raise UnreadableError("Earth Explorer header has no Fixed_Header")
    file_name = text(header, "File_Name")
    if file_name and not name.name.startswith(file_name.partition(".")[0]):
        raise UnreadableError(f"header belongs to another file: File_Name {file_name[:120]!r}")
    attributes.set("productType", text(header, "File_Type"))
    attributes.set("productClass", text(header, "File_Class"))
    attributes.set("processingCenter", text(header, "System"))
    attributes.set("processorName", text(header, "Creator"))
    attributes.set("processorVersion", text(header, "Creator_Version"))
    attributes.set("processingDate", moment(text(header, "Creation_Date"), "Creation_Date"))
    return (
        moment(text(header, "Validity_Start"), "Validity_Start"),
        moment(text(header, "Validity_Stop"), "Validity_Stop"),
    )


def _inventory(name: ProductName, root: etree._Element, attributes: Attributes) -> Period:
    """Inventory_Metadata of a Sentinel-2 product data item (S2 PSD)."""
    attributes.set("productType", text(root, "File_Type") or name.product_type)
    attributes.set("processingCenter", (text(root, "Processing_Station") or "").rstrip("_"))
    attributes.set("processorName", text(root, "Source"))
    attributes.set("processorVersion", text(root, "Source_Sw_Version"))
    attributes.set("processingDate", moment(text(root, "Generation_Time"), "Generation_Time"))
    attributes.set("instrumentShortName", text(root, "Sensor_Code"))
    attributes.set("operationalMode", text(root, "Sensor_Mode"))
    attributes.set("orbitNumber", text(root, "Start_Orbit_Number"))
    attributes.set("lastOrbitNumber", text(root, "Stop_Orbit_Number"))
    attributes.set("qualityInfo", text(root, "Quality_Info"))
    attributes.set("productGroupId", text(root, "Group_ID"))
    return (
        moment(text(root, "Validity_Start"), "Validity_Start"),
        moment(text(root, "Validity_Stop"), "Validity_Stop"),
    )


def _manifest(name: ProductName, root: etree._Element, attributes: Attributes) -> Period:
    """SAFE manifest (`manifest.safe`, `xfdumanifest.xml`) of Sentinel-1, -2 and -3."""
    attributes.set("processingCenter", attribute(root, "facility", "site" if name.mission == "S1" else "name"))
    attributes.set("processorName", attribute(root, "software", "name"))
    attributes.set("processorVersion", attribute(root, "software", "version"))
    attributes.set("instrumentShortName", attribute(root, "familyName", "abbreviation"))
    attributes.set("instrumentConfigurationID", text(root, "instrumentConfigurationId"))
    attributes.set("timeliness", text(root, "timeliness"))
    attributes.set("baselineCollection", (text(root, "baselineCollection") or "").strip("_"))
    attributes.set("qualityStatus", text(root, "adfQualityCheck"))
    attributes.set("operationalMode", text(root, "mode"))
    attributes.set("orbitDirection", text(root, "pass"))
    attributes.set("cycleNumber", text(root, "cycleNumber"))
    attributes.set("datatakeID", text(root, "missionDataTakeID"))
    attributes.set("productClass", text(root, "productClass"))
    attributes.set("productConsolidation", text(root, "productConsolidation"))
    attributes.set("productComposition", text(root, "productComposition"))
    attributes.set("sliceNumber", text(root, "sliceNumber"))
    attributes.set("totalSlices", text(root, "totalSlices"))
    for kind in ("orbitNumber", "relativeOrbitNumber"):
        for element in elements(root, kind):
            prefix = "last" if element.get("type") == "stop" else ""
            attributes.set(prefix + (kind[0].upper() + kind[1:] if prefix else kind), element.text)
    created = text(root, "generation") or text(root, "creationTime") or attribute(root, "processing", "stop")
    if created:
        attributes.set("processingDate", moment(created, "generation"))
    return _manifest_period(root)


def _manifest_period(root: etree._Element) -> Period:
    for start, stop in (("validityStartTime", "validityStopTime"), ("startTime", "stopTime")):
        if begin := text(root, start):
            return moment(begin, start), moment(text(root, stop), stop)
    # Sentinel-1 auxiliary products are valid from a time on, until a newer one replaces them.
    return moment(text(root, "validity"), "validity"), OPEN_END


def _plain(name: ProductName, root: etree._Element, attributes: Attributes) -> Period:
    """Auxiliary XML without a header, such as the on-board memory configuration (AUX_OBMEMC)."""
    if created := text(root, "Creation_Time"):
        attributes.set("processingDate", moment(created, "Creation_Time"))
    return (
        moment(text(root, "Validity_Start"), "Validity_Start"),
        moment(text(root, "Validity_Stop"), "Validity_Stop"),
    )


_READERS: dict[str, Callable[[ProductName, etree._Element, Attributes], Period]] = {
    "Earth_Explorer_File": _earth_explorer,
    "Earth_Explorer_Header": _earth_explorer,
    "Inventory_Metadata": _inventory,
    "XFDU": _manifest,
}
