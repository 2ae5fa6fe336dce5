"""Sentinel-2 (product specification S2-PDGS-TAS-DI-PSD): inventory, granule, datastrip, tile and user products."""

from lxml import etree

from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.outlines import extended_positions, points
from refsys.services.catalogue.readers.manifest import read_processing
from refsys.services.catalogue.xml import UnreadableError, attribute, moment, text, texts
from refsys.services.common.names import ProductName

_DIRECTIONS = {"true": "ASCENDING", "false": "DESCENDING"}


def inventory(name: ProductName, root: etree._Element, draft: Draft) -> None:
    """`Inventory_Metadata.xml` of a product data item (also of HKTM and SADATA)."""
    identifier = text(root, "File_ID") or ""
    if identifier and not name.name.startswith(identifier.partition(".SAFE")[0]):
        raise UnreadableError(f"inventory belongs to another product: File_ID {identifier[:120]!r}")
    attributes = draft.attributes
    attributes.set("productType", text(root, "File_Type"))
    attributes.set("productClass", text(root, "File_Class"))
    attributes.set("processingCenter", (text(root, "Processing_Station") or "").rstrip("_"))
    attributes.set("processorName", text(root, "Source"))
    attributes.set("processorVersion", text(root, "Source_Sw_Version"))
    attributes.set("processingDate", moment(text(root, "Generation_Time"), "Generation_Time"))
    attributes.set("instrumentShortName", text(root, "Sensor_Code"))
    attributes.set("operationalMode", text(root, "Sensor_Mode"))
    attributes.set("orbitNumber", text(root, "Start_Orbit_Number"))
    attributes.set("lastOrbitNumber", text(root, "Stop_Orbit_Number"))
    attributes.set("orbitDirection", _DIRECTIONS.get((text(root, "Ascending_Flag") or "").lower()))
    attributes.set("qualityInfo", text(root, "Quality_Info"))
    attributes.set("productGroupId", text(root, "Group_ID"))
    if name.product_type.startswith("MSI_"):
        attributes.set("cloudCover", text(root, "CloudPercentage"))
    parent = text(root, "Parent_ID") or ""
    attributes.set("datastripId", parent if "_DS_" in parent else identifier if "_DS_" in identifier else None)
    draft.period(root, "Validity_Start", "Validity_Stop")
    draft.add_rings(points(root))
    _from_name(name, draft)


def product(name: ProductName, root: etree._Element, draft: Draft) -> None:
    """Metadata of a granule, datastrip, tile (`Level-0_Granule_ID` …) or user product."""
    attributes = draft.attributes
    attributes.set("datastripId", text(root, "DATASTRIP_ID"))
    if name.product_type.endswith("_DS"):
        attributes.set("datastripId", name.unpacked.removesuffix(".SAFE"))
    attributes.set("timeliness", text(root, "DOWNLINK_PRIORITY"))
    attributes.set("processingCenter", (text(root, "PROCESSING_CENTER") or "").rstrip("_"))
    attributes.set("baselineCollection", text(root, "PROCESSING_BASELINE"))
    attributes.set("relativeOrbitNumber", text(root, "SENSING_ORBIT_NUMBER"))
    attributes.set("orbitDirection", text(root, "SENSING_ORBIT_DIRECTION"))
    attributes.set("productGroupId", attribute(root, "Datatake", "datatakeIdentifier"))
    attributes.set("productGroupId", attribute(root, "Datatake_Info", "datatakeIdentifier"))
    attributes.set("cloudCover", text(root, "CLOUDY_PIXEL_PERCENTAGE") or text(root, "Cloud_Coverage_Assessment"))
    for made in ("GENERATION_TIME", "UTC_DATE_TIME", "ARCHIVING_TIME"):
        if written := text(root, made):
            attributes.set("processingDate", moment(written, made))
    checks = set(texts(root, "quality_check"))
    if checks:
        attributes.set("qualityStatus", "NOMINAL" if checks <= {"PASSED"} else "DEGRADED")
    _sensing(root, draft)
    draft.add_rings(extended_positions(root))
    _from_name(name, draft)


def manifest(name: ProductName, root: etree._Element, draft: Draft) -> None:
    """`manifest.safe`, beside which other documents tell more; that of HKTM has the period."""
    read_processing(root, draft.attributes, "name")
    if text(root, "startTime"):
        draft.period(root, "startTime", "stopTime")
    elif draft.start is None and name.product_type == "PRD_HKTM__":
        draft.start, draft.end = name.start, name.stop or name.start
    draft.attributes.set("orbitNumber", text(root, "orbitNumber"))
    _from_name(name, draft)


def _sensing(root: etree._Element, draft: Draft) -> None:
    for start, stop in (
        ("DATASTRIP_SENSING_START", "DATASTRIP_SENSING_STOP"),
        ("PRODUCT_START_TIME", "PRODUCT_STOP_TIME"),
        ("SENSING_TIME", "SENSING_TIME"),
    ):
        if text(root, start):
            draft.period(root, start, stop)


def _from_name(name: ProductName, draft: Draft) -> None:
    """What only the name tells."""
    fields, attributes = name.fields, draft.attributes
    kind = name.product_type
    if kind.startswith("MSI"):
        attributes.set("processingLevel", kind.removeprefix("MSI").lstrip("_")[1:3].rstrip("_"))
        attributes.set("instrumentShortName", "MSI")
    attributes.set("tileId", fields.get("tile"))
    attributes.set("orbitNumber", fields.get("orbit"))
    attributes.set("relativeOrbitNumber", fields.get("relative"))
    baseline = fields.get("baseline", "")
    attributes.set(
        "baselineCollection", baseline if "." in baseline or not baseline else f"{baseline[:2]}.{baseline[2:]}"
    )
    if name.generated:
        attributes.set("processingDate", name.generated)
