"""`xfdumanifest.xml` of Sentinel-3 (S3IPF PDS.002 SAFE specification): products of all levels and auxiliary data."""

from lxml import etree

from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.outlines import gml_positions
from refsys.services.catalogue.readers.manifest import check_satellite, read_orbit, read_processing
from refsys.services.catalogue.xml import attribute, child, elements, moment, text
from refsys.services.common.names import ProductName

_TIMELINESS = {"NR": "NRT", "ST": "STC", "NT": "NTC"}
GRANULE, POSITION, DUMP = "granuleNumber", "granulePosition", "dumpStart"


def read(name: ProductName, root: etree._Element, draft: Draft) -> None:
    """All that a manifest tells."""
    check_satellite(name, root)
    attributes = draft.attributes
    if created := text(root, "creationTime"):
        attributes.set("processingDate", moment(created, "creationTime"))
    read_processing(root, attributes, "name")
    _software(root, draft)
    read_orbit(root, attributes)
    attributes.set("productType", text(root, "productType"))
    timeliness = text(root, "timeliness") or ""
    attributes.set("timeliness", timeliness)
    draft.timeliness = _TIMELINESS.get(timeliness, name.timeliness)
    attributes.set("baselineCollection", (text(root, "baselineCollection") or "").strip("_"))
    attributes.set("qualityStatus", text(root, "onlineQualityCheck") or text(root, "adfQualityCheck"))
    attributes.set("operationalMode", attribute(root, "mode", "identifier") or text(root, "mode"))
    attributes.set("cloudCover", attribute(root, "cloudyPixels", "percentage"))
    if (level := name.product_type[3:4]) in ("0", "1", "2"):
        attributes.set("processingLevel", level)
    for detail in (GRANULE, POSITION, DUMP):
        if written := text(root, detail):
            draft.details[detail] = written[:60]
    for start, stop in (("validityStartTime", "validityStopTime"), ("startTime", "stopTime")):
        if text(root, start):
            draft.period(root, start, stop)
    draft.add_rings(gml_positions(root))


def _software(root: etree._Element, draft: Draft) -> None:
    """The processor where it is written as a resource of the outermost processing."""
    processing = next(elements(root, "processing"), None)
    if processing is None:
        return
    for resource in processing.iterfind("{*}resource"):
        if resource.get("role") == "software":
            draft.attributes.set("processorName", resource.get("name"))
            draft.attributes.set("processorVersion", resource.get("version"))
    if child(processing, "facility") is None:
        draft.attributes.set("processingCenter", attribute(root, "facility", "name"))
