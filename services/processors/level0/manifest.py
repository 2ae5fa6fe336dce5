"""The manifest of a level-0 product (XFDU, CCSDS 661.0-B, as SAFE profiles it), and the inventory of Sentinel-2.

Elements are those of each mission's SAFE specification as far as level 0 knows their content; there is no footprint,
which needs an orbit.
"""

from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from refsys.services.common.messages import CHAIN_VERSION
from refsys.services.processors.level0.naming import Naming

PROCESSOR = "refsys-level0"
_XFDU = "urn:ccsds:schema:xfdu:1"
_SPACES = {
    "S1": {"safe": "http://www.esa.int/safe/sentinel-1.0", "own": "http://www.esa.int/safe/sentinel-1.0/sentinel-1"},
    "S2": {"safe": "http://www.esa.int/safe/sentinel/1.1", "own": "http://www.esa.int/safe/sentinel-2/1.0"},
    "S3": {"safe": "http://www.esa.int/safe/sentinel/1.1", "own": "http://www.esa.int/safe/sentinel/sentinel-3/1.0"},
}
_INSTRUMENTS = {
    "OL": ("OLCI", "Ocean Land Colour Instrument"),
    "SL": ("SLSTR", "Sea and Land Surface Temperature Radiometer"),
    "SR": ("SRAL", "SAR Radar Altimeter"),
    "MW": ("MWR", "Microwave Radiometer"),
    "S1": ("SAR", "Synthetic Aperture Radar"),
    "S2": ("MSI", "Multi-Spectral Instrument"),
}
_MIME_TYPES = {"dat": "application/octet-stream", "json": "application/json", "xml": "text/xml"}
ISO = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class File:
    """A file of a product: its path in it, octets, MD5, and what it is (`measurement`, `annotation`, `report` …)."""

    path: str
    size: int
    md5: str
    role: str

    @property
    def identifier(self) -> str:
        """Its name in the manifest."""
        return self.role + "-" + self.path.rpartition("/")[2].rpartition(".")[0].replace("_", "-")


@dataclass(frozen=True)
class Description:
    """What a manifest says of a product beside its files."""

    kind: str
    session: str
    start: datetime
    stop: datetime
    datatake: int
    labels: tuple[str, ...]
    missing: int
    """Packets that are missing."""


def manifest(naming: Naming, description: Description, files: list[File]) -> bytes:
    """The document."""
    spaces = _SPACES[naming.mission]
    root = etree.Element(f"{{{_XFDU}}}XFDU", nsmap={"xfdu": _XFDU, **spaces})
    maps = etree.SubElement(etree.SubElement(root, "informationPackageMap"), f"{{{_XFDU}}}contentUnit")
    for file in files:
        unit = etree.SubElement(maps, f"{{{_XFDU}}}contentUnit", unitType="Data Unit", ID=f"unit-{file.identifier}")
        etree.SubElement(unit, "dataObjectPointer", dataObjectID=file.identifier)
    section = etree.SubElement(root, "metadataSection")
    _processing(_wrapped(section, "processing"), spaces["safe"], naming, description.session)
    _platform(_wrapped(section, "platform"), spaces, naming, description)
    period = etree.SubElement(_wrapped(section, "acquisitionPeriod"), f"{{{spaces['safe']}}}acquisitionPeriod")
    _text(period, spaces["safe"], "startTime", description.start.strftime(ISO))
    _text(period, spaces["safe"], "stopTime", description.stop.strftime(ISO))
    orbit = etree.SubElement(_wrapped(section, "measurementOrbitReference"), f"{{{spaces['safe']}}}orbitReference")
    for end in ("start", "stop"):
        _text(orbit, spaces["safe"], "orbitNumber", str(naming.orbit), type=end)
    _information(_wrapped(section, "generalProductInformation"), spaces["own"], naming, description)
    objects = etree.SubElement(root, "dataObjectSection")
    for file in files:
        entry = etree.SubElement(objects, "dataObject", ID=file.identifier)
        mime = _MIME_TYPES[file.path.rpartition(".")[2]]
        stream = etree.SubElement(entry, "byteStream", mimeType=mime, size=str(file.size))
        etree.SubElement(stream, "fileLocation", locatorType="URL", href=f"./{file.path}")
        etree.SubElement(stream, "checksum", checksumName="MD5").text = file.md5
    return _document(root)


def _wrapped(section: etree._Element, identifier: str) -> etree._Element:
    entry = etree.SubElement(section, "metadataObject", ID=identifier, classification="DESCRIPTION", category="DMD")
    return etree.SubElement(etree.SubElement(entry, "metadataWrap", mimeType="text/xml"), "xmlData")


def _text(parent: etree._Element, space: str, name: str, value: str, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, f"{{{space}}}{name}", attributes)
    element.text = value
    return element


def _processing(parent: etree._Element, space: str, naming: Naming, session: str) -> None:
    moment = naming.generated.strftime(ISO)
    processing = etree.SubElement(parent, f"{{{space}}}processing", name="Level-0", start=moment, stop=moment)
    site = naming.station.rstrip("_") or "unknown"
    facility = etree.SubElement(processing, f"{{{space}}}facility", name=site, site=site)
    etree.SubElement(facility, f"{{{space}}}software", name=PROCESSOR, version=CHAIN_VERSION)
    etree.SubElement(processing, f"{{{space}}}resource", name=session, role="Downlink Session")


def _platform(parent: etree._Element, spaces: dict[str, str], naming: Naming, description: Description) -> None:
    platform = etree.SubElement(parent, f"{{{spaces['safe']}}}platform")
    _text(platform, spaces["safe"], "familyName", f"SENTINEL-{naming.mission[1]}")
    _text(platform, spaces["safe"], "number", naming.satellite[2])
    short, name = _INSTRUMENTS.get(description.kind[:2] if naming.mission == "S3" else naming.mission, ("", ""))
    if not short:
        return
    instrument = etree.SubElement(platform, f"{{{spaces['safe']}}}instrument")
    _text(instrument, spaces["safe"], "familyName", name, abbreviation=short)
    if naming.mission == "S1":
        mode = etree.SubElement(instrument, f"{{{spaces['own']}}}instrumentMode")
        _text(mode, spaces["own"], "mode", description.kind[:2])


def _information(parent: etree._Element, space: str, naming: Naming, description: Description) -> None:
    information = etree.SubElement(parent, f"{{{space}}}standAloneProductInformation")
    if naming.mission == "S3":
        _text(information, space, "productType", description.kind)
        _text(information, space, "timeliness", naming.timeliness[:2] or "NR")
        _text(information, space, "creationTime", naming.generated.strftime(ISO))
    if naming.mission == "S1":
        if description.datatake:
            _text(information, space, "missionDataTakeID", str(description.datatake))
        for label in description.labels:
            if label in ("hh", "hv", "vv", "vh"):
                _text(information, space, "transmitterReceiverPolarisation", label.upper())
        _text(information, space, "productClass", description.kind[-1])
        _text(information, space, "productConsolidation", "SEGMENT")
        _text(information, space, "numOfMissingElements", str(description.missing))


def inventory(naming: Naming, description: Description, name: str) -> bytes:
    """`Inventory_Metadata.xml` of a product data item of Sentinel-2."""
    root = etree.Element("Inventory_Metadata")
    for tag, value in (
        ("File_ID", name),
        ("File_Name", name),
        ("Source", PROCESSOR),
        ("Source_Sw_Version", CHAIN_VERSION),
        ("Generation_Time", f"UTC={naming.generated:%Y-%m-%dT%H:%M:%S.%f}"),
        ("Validity_Start", f"UTC={description.start:%Y-%m-%dT%H:%M:%S.%f}"),
        ("Validity_Stop", f"UTC={description.stop:%Y-%m-%dT%H:%M:%S.%f}"),
        ("Start_Orbit_Number", f"{naming.orbit:06d}"),
        ("Stop_Orbit_Number", f"{naming.orbit:06d}"),
        ("File_Type", description.kind),
        ("File_Class", "OPER"),
        ("Sensor_Code", "MSI"),
        ("Processing_Station", f"{naming.station:_<4.4}"),
    ):
        etree.SubElement(root, tag).text = value
    return _document(root)


def _document(root: etree._Element) -> bytes:
    content: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return content
