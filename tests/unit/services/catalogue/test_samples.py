"""The real samples, when they are there: each value is compared with the field of the source file it comes from."""

import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import shapely
from lxml import etree
from tests.means import generator

from refsys.services.catalogue.archive import files_in
from refsys.services.catalogue.documents import metadata_documents
from refsys.services.catalogue.metadata import Metadata, read_metadata
from refsys.services.catalogue.xml import OPEN_END
from refsys.services.common.names import parse_name

CHECKOUT = Path(__file__).resolve().parents[4]
SAMPLES = Path(os.environ.get("REFSYS_SAMPLES", CHECKOUT.parent / "shared" / "samples"))
Field = tuple[str, str, Callable[[str], Any]]
"""An attribute, the XPath of its source in any namespace, and how the text becomes the value."""


def tag(*names: str) -> str:
    return "".join(f"//*[local-name()='{name}']" for name in names)


def texts(root: etree._Element, xpath: str) -> list[str]:
    found = root.xpath(xpath)
    assert isinstance(found, list)
    return [str(each) for each in found]


def utc(text: str) -> str:
    moment = datetime.fromisoformat(text.removeprefix("UTC=").removesuffix("Z"))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def compact(text: str) -> str:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").strftime("%Y-%m-%dT%H:%M:%S.%fZ")


S1: list[Field] = [
    ("beginningDateTime", tag("acquisitionPeriod", "startTime") + "/text()", utc),
    ("endingDateTime", tag("acquisitionPeriod", "stopTime") + "/text()", utc),
    ("orbitNumber", tag("orbitNumber") + "[@type='start']/text()", int),
    ("lastOrbitNumber", tag("orbitNumber") + "[@type='stop']/text()", int),
    ("relativeOrbitNumber", tag("relativeOrbitNumber") + "[@type='start']/text()", int),
    ("lastRelativeOrbitNumber", tag("relativeOrbitNumber") + "[@type='stop']/text()", int),
    ("cycleNumber", tag("cycleNumber") + "/text()", int),
    ("orbitDirection", tag("pass") + "/text()", str),
    ("datatakeID", tag("missionDataTakeID") + "/text()", int),
    ("instrumentConfigurationID", tag("instrumentConfigurationID") + "/text()", int),
    ("instrumentShortName", tag("instrument", "familyName") + "/@abbreviation", str),
    ("operationalMode", tag("mode") + "/text()", str),
    ("platformSerialIdentifier", tag("platform", "number") + "/text()", str),
    ("productClass", tag("productClass") + "/text()", str),
    ("sliceProductFlag", tag("sliceProductFlag") + "/text()", lambda text: text.lower() == "true"),
    ("startTimeFromAscendingNode", tag("startTimeANX") + "/text()", float),
    ("completionTimeFromAscendingNode", tag("stopTimeANX") + "/text()", float),
    ("processingCenter", f"({tag('facility')})[1]/@site", str),
    ("processingDate", f"({tag('processing')})[1]/@stop", utc),
]
SLICE: list[Field] = [*S1, ("sliceNumber", tag("sliceNumber") + "/text()", int)]
LEVEL_0: list[Field] = [("productConsolidation", tag("productConsolidation") + "/text()", str)]
LEVEL_1: list[Field] = [
    ("totalSlices", tag("totalSlices") + "/text()", int),
    ("segmentStartTime", tag("segmentStartTime") + "/text()", utc),
    ("timeliness", tag("productTimelinessCategory") + "/text()", str),
    ("productComposition", tag("productComposition") + "/text()", str),
    ("swathIdentifier", tag("swath") + "/text()", str),
    ("processorName", f"({tag('software')})[1]/@name", str),
    ("processorVersion", f"({tag('software')})[1]/@version", str),
]
S1_AUX: list[Field] = [
    ("beginningDateTime", tag("validity") + "/text()", utc),
    ("processingDate", tag("generation") + "/text()", utc),
    ("instrumentConfigurationID", tag("instrumentConfigurationId") + "/text()", int),
    ("productType", tag("auxProductType") + "/text()", str),
    ("processingCenter", tag("facility") + "/@site", str),
]
EOF: list[Field] = [
    ("beginningDateTime", tag("Validity_Start") + "/text()", utc),
    ("endingDateTime", tag("Validity_Stop") + "/text()", utc),
    ("processingDate", tag("Creation_Date") + "/text()", utc),
    ("productType", tag("File_Type") + "/text()", str),
    ("productClass", tag("File_Class") + "/text()", str),
    ("processingCenter", tag("System") + "/text()", str),
    ("processorName", tag("Creator") + "/text()", str),
    ("processorVersion", tag("Creator_Version") + "/text()", str),
]
PLAIN: list[Field] = [*EOF[:2], ("processingDate", tag("Creation_Time") + "/text()", utc)]
S2: list[Field] = [
    *EOF[:2],
    ("processingDate", tag("Generation_Time") + "/text()", utc),
    ("orbitNumber", tag("Start_Orbit_Number") + "/text()", int),
    ("lastOrbitNumber", tag("Stop_Orbit_Number") + "/text()", int),
    ("qualityInfo", tag("Quality_Info") + "/text()", float),
    ("productType", tag("File_Type") + "/text()", str),
    ("instrumentShortName", tag("Sensor_Code") + "/text()", str),
    ("operationalMode", tag("Sensor_Mode") + "/text()", str),
    ("processingCenter", tag("Processing_Station") + "/text()", lambda text: text.rstrip("_")),
    ("processorName", tag("Source") + "/text()", str),
    ("processorVersion", tag("Source_Sw_Version") + "/text()", str),
]
S2_GRANULE: list[Field] = [
    *S2,
    ("datastripId", tag("Parent_ID") + "/text()", str),
    ("productGroupId", tag("Group_ID") + "/text()", str),
    ("baselineCollection", tag("File_Version") + "/text()", str),
    ("cloudCover", tag("CloudPercentage") + "/text()", float),
    ("orbitDirection", tag("Ascending_Flag") + "/text()", {"true": "ASCENDING", "false": "DESCENDING"}.__getitem__),
]
S3: list[Field] = [
    ("beginningDateTime", tag("validityStartTime") + "/text()", utc),
    ("endingDateTime", tag("validityStopTime") + "/text()", utc),
    ("processingDate", tag("creationTime") + "/text()", compact),
    ("timeliness", tag("timeliness") + "/text()", str),
    ("qualityStatus", tag("adfQualityCheck") + "/text()", str),
    ("platformSerialIdentifier", tag("generalProductInformation", "number") + "/text()", str),
    ("processorVersion", tag("software") + "/@version", str),
]
DSIB: list[Field] = [
    ("beginningDateTime", tag("time_start") + "/text()", utc),
    ("endingDateTime", tag("time_stop") + "/text()", utc),
    ("processingDate", tag("time_created") + "/text()", utc),
]
EXPECTED: dict[str, tuple[str, list[Field]]] = {
    "S1A_IW_RAW__0SDV": ("manifest.safe", SLICE + LEVEL_0),
    "S1A_EW_RAW__0CDV": ("manifest.safe", S1 + LEVEL_0),
    "S1A_IW_GRDH_1SDV": ("manifest.safe", SLICE + LEVEL_1),
    "S1A_AUX_CAL": ("manifest.safe", S1_AUX),
    "S1A_AUX_PP2": ("manifest.safe", S1_AUX),
    "S1__AUX_WND": ("manifest.safe", S1_AUX),
    "S1A_OPER_AUX_RESORB": ("", EOF),
    "S1A_OPER_REP__SUP__": ("", EOF),
    "S1A_OPER_AUX_OBMEMC": ("", PLAIN),
    "S2A_OPER_AUX_SADATA": ("Inventory_Metadata.xml", S2),
    "S2A_OPER_MSI_L0__GR": ("Inventory_Metadata.xml", S2_GRANULE),
    "S3A_AX___BA__AX": ("xfdumanifest.xml", S3),
    "DCS_02_SESSION1_ch1_DSIB": ("", DSIB),
}


def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """All samples, as they occur in the chain; none where there are none."""
    monkeypatch.setattr(generator, "_AUXILIARY", re.compile(""))
    return generator.pack(SAMPLES, tmp_path) if SAMPLES.is_dir() else []


def read(path: Path) -> Metadata:
    with path.open("rb") as file:
        return read_metadata(parse_name(path.name), metadata_documents(files_in(path.name, file)))


def test_every_attribute_is_that_of_its_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = packed(tmp_path, monkeypatch)
    for path in paths:
        start, (member, fields) = next(item for item in EXPECTED.items() if path.name.startswith(item[0]))
        source = next(SAMPLES.glob(f"{start}*"))
        root = etree.parse(source / member if member else source).getroot()
        found = {attribute.name: attribute.value for attribute in read(path).attributes}
        for name, xpath, convert in fields:
            (text, *_) = texts(root, xpath)
            assert found.get(name) == convert(text), f"{path.name}: {name} from {xpath}"
        if channels := texts(root, tag("transmitterReceiverPolarisation") + "/text()"):
            assert set(str(found["polarisationChannels"]).split("&")) == set(channels)
        assert "footprintNote" not in found
    assert len(paths) == (len(EXPECTED) if SAMPLES.is_dir() else 0)


def test_footprints_have_the_corners_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in packed(tmp_path, monkeypatch):
        source = next(SAMPLES.glob(f"{parse_name(path.name).unpacked}*"))
        footprint = read(path).footprint
        if (source / "manifest.safe").is_file() and "_AUX_" not in path.name and path.name.startswith("S1"):
            root = etree.parse(source / "manifest.safe").getroot()
            (coordinates,) = texts(root, tag("coordinates") + "/text()")
            corners = {(float(pair.split(",")[1]), float(pair.split(",")[0])) for pair in coordinates.split()}
        elif "_GR_" in path.name:
            root = etree.parse(source / "Inventory_Metadata.xml").getroot()
            longitudes, latitudes = (texts(root, tag(name) + "/text()") for name in ("LONGITUDE", "LATITUDE"))
            corners = {(float(lon), float(lat)) for lon, lat in zip(longitudes, latitudes, strict=True)}
        else:
            assert footprint is None, path.name
            continue
        assert footprint is not None
        assert {(lon, lat) for lon, lat in footprint["coordinates"][0]} == corners
        assert shapely.geometry.shape(footprint).exterior.is_ccw


def test_what_is_not_a_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {path.name[:19]: read(path) for path in packed(tmp_path, monkeypatch)}
    for start, metadata in found.items():
        if "_RAW_" in start or "_GRD" in start:
            assert metadata.timeliness == "NRT"  # packet stores 21, 22, 24, 25 are for NRT; NRT-3h
        if start.startswith(("S1A_AUX_", "S1__AUX_")):
            assert metadata.end == OPEN_END
        if start.startswith("DCS"):
            assert metadata.details["sessionId"] == "L20171109175634707000125"
            assert metadata.details["dataSize"] == 36014692600
            assert len(metadata.details["rawNames"]) == 35
        if "OBMEMC" in start:
            stores = metadata.details["packetStores"]
            assert (len(stores), stores["0"], stores["24"], stores["45"]) == (51, "Emergency", "NRT", "HKTM")
