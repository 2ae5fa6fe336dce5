"""What SAFE manifests of Sentinel-1 and -3 have in common."""

from lxml import etree

from refsys.services.catalogue.attributes import Attributes
from refsys.services.catalogue.xml import UnreadableError, attribute, child, elements, moment, text
from refsys.services.common.names import ProductName


def check_satellite(name: ProductName, root: etree._Element) -> None:
    """Refuse the manifest of another satellite; raises `UnreadableError`."""
    number = text(root, "number") or ""
    if name.satellite and number in "ABCD" and number and number != name.satellite:
        raise UnreadableError(f"manifest belongs to another satellite: {number!r} instead of {name.satellite!r}")


def read_processing(root: etree._Element, attributes: Attributes, center: str) -> None:
    """Who made the product: of the outermost processing, since those of its inputs lie in it.

    `center` is the attribute of `facility` that names the centre.
    """
    processing = next(elements(root, "processing"), None)
    facility = child(processing, "facility")
    if processing is None or facility is None:
        return
    attributes.set("processingCenter", facility.get(center))
    software = child(facility, "software")
    if software is not None:
        attributes.set("processorName", software.get("name"))
        attributes.set("processorVersion", software.get("version"))
    if made := processing.get("stop"):
        attributes.set("processingDate", moment(made, "processing stop"))


def read_orbit(root: etree._Element, attributes: Attributes) -> None:
    """Instrument, orbit numbers at start and stop, cycle, and direction."""
    attributes.set("instrumentShortName", attribute(root, "familyName", "abbreviation"))
    for kind, last in (("orbitNumber", "lastOrbitNumber"), ("relativeOrbitNumber", "lastRelativeOrbitNumber")):
        for element in elements(root, kind):
            attributes.set(last if element.get("type") == "stop" else kind, (element.text or "").strip())
    attributes.set("cycleNumber", text(root, "cycleNumber"))
    direction = text(root, "pass") or attribute(root, "orbitNumber", "groundTrackDirection") or ""
    attributes.set("orbitDirection", direction.upper())
