"""`manifest.safe` of Sentinel-1: level 0 (S1PD.SP.00110.ASTR), 1 and 2 (S1-RS-MDA-52-7441), auxiliary (…-7443)."""

from lxml import etree

from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.outlines import gml_coordinates
from refsys.services.catalogue.readers.manifest import check_satellite, read_orbit, read_processing
from refsys.services.catalogue.xml import OPEN_END, moment, text, texts
from refsys.services.common.names import ProductName

# Of the product's category, and of what a packet store is for (reference system, packet store → timeliness).
_CATEGORIES = {"NRT-10m": "NRT", "NRT-1h": "NRT", "NRT-3h": "NRT", "Fast-24h": "FAST24", "Off-line": "FAST24"}
_STORE_KINDS = {
    "Emergency": "PT",
    "PassThrough": "PT",
    "NRT": "NRT",
    "GPS": "NRT",
    "HKTM": "NRT",
    "RFC": "FAST24",
    "WV": "FAST24",
    "Standard": "FAST24",
}
_SOONEST_FIRST = ("PT", "NRT", "FAST24")
_POLARISATIONS = ("HH", "VV", "HV", "VH")
# Where no on-board memory configuration (AUX_OBMEMC) is catalogued: the one that the mission started with.
DEFAULT_STORES = {
    **dict.fromkeys((0, 1), "Emergency"),
    **dict.fromkeys(range(2, 6), "RFC"),
    **dict.fromkeys(range(6, 45), "NRT"),
    **dict.fromkeys((19, 20), "WV"),
    **dict.fromkeys(range(45, 49), "HKTM"),
    49: "GPS",
}
_COPIED = {
    "productClass": "productClass",
    "productConsolidation": "productConsolidation",
    "productComposition": "productComposition",
    "missionDataTakeID": "datatakeID",
    "sliceProductFlag": "sliceProductFlag",
    "sliceNumber": "sliceNumber",
    "totalSlices": "totalSlices",
    "mode": "operationalMode",
    "startTimeANX": "startTimeFromAscendingNode",
    "stopTimeANX": "completionTimeFromAscendingNode",
    "instrumentConfigurationID": "instrumentConfigurationID",
    "instrumentConfigurationId": "instrumentConfigurationID",
}


def read(name: ProductName, root: etree._Element, draft: Draft) -> None:
    """All that a manifest tells."""
    check_satellite(name, root)
    attributes = draft.attributes
    if generated := text(root, "generation"):
        attributes.set("processingDate", moment(generated, "generation"))
    read_processing(root, attributes, "site")
    read_orbit(root, attributes)
    for element, attribute in _COPIED.items():
        attributes.set(attribute, text(root, element))
    if segment := text(root, "segmentStartTime"):
        attributes.set("segmentStartTime", moment(segment, "segmentStartTime"))
    attributes.set("swathIdentifier", " ".join(texts(root, "swath")))
    channels = texts(root, "transmitterReceiverPolarisation")
    attributes.set("polarisationChannels", "&".join(sorted(channels, key=_polarisation_order)))
    if (level := name.product_type[8:9]) in ("0", "1", "2"):
        attributes.set("processingLevel", level)
    _quality(root, draft)
    _timeliness(root, draft)
    _period(root, draft)
    draft.add_rings(gml_coordinates(root))


def _polarisation_order(channel: str) -> int:
    return _POLARISATIONS.index(channel) if channel in _POLARISATIONS else len(_POLARISATIONS)


def _quality(root: etree._Element, draft: Draft) -> None:
    """Degraded if elements of the measurement are missing or corrupted."""
    counts = texts(root, "numOfMissingElements") + texts(root, "numOfCorruptedElements")
    if counts:
        draft.attributes.set("qualityStatus", "NOMINAL" if set(counts) == {"0"} else "DEGRADED")


def _timeliness(root: etree._Element, draft: Draft) -> None:
    """The product's category, or, at level 0, the soonest that its packet stores ask for."""
    if category := text(root, "productTimelinessCategory"):
        draft.timeliness = _CATEGORIES.get(category, "")
        draft.attributes.set("timeliness", category)
        return
    stores = draft.packet_stores or DEFAULT_STORES
    numbers = [int(number) for number in texts(root, "packetStoreID") if number.isdecimal() and len(number) < 4]
    found = {_STORE_KINDS.get(stores.get(number, ""), "") for number in numbers}
    draft.timeliness = next((each for each in _SOONEST_FIRST if each in found), "")
    draft.attributes.set("timeliness", draft.timeliness)


def _period(root: etree._Element, draft: Draft) -> None:
    if text(root, "startTime"):
        draft.period(root, "startTime", "stopTime")
    elif draft.start is None:
        # Auxiliary products are valid from a time on, until a newer one replaces them.
        draft.start, draft.end = moment(text(root, "validity"), "validity"), OPEN_END
