"""Products of all kinds for the tests of the STAC API."""

from typing import Any

from tests.services.published import EPOCH, attributes, event

from refsys.services.common.messages import CatalogEvent

GRD = "S1A_IW_GRDH_1SDV_20240101T000000_20240101T000025_051000_062000_C0B5.SAFE.zip"
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
DATELINE = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[175, 0], [180, 0], [180, 10], [175, 10], [175, 0]]],
        [[[-180, 0], [-178, 0], [-178, 10], [-180, 10], [-180, 0]]],
    ],
}


def grd(number: int = 0, **changes: Any) -> CatalogEvent:
    """A radar image with all its attributes."""
    name = GRD if number == 0 else GRD.replace("C0B5", f"{number:04X}")
    values: dict[str, Any] = {
        "hours": number,
        "footprint": SQUARE,
        "content_type": "application/zip",
        "attributes": attributes(
            productType="IW_GRDH_1S",
            platformShortName="SENTINEL-1",
            platformSerialIdentifier="A",
            instrumentShortName="SAR",
            operationalMode="IW",
            orbitNumber=51_000 + number,
            relativeOrbitNumber=37,
            orbitDirection="ASCENDING",
            cycleNumber=300,
            polarisationChannels="VV,VH",
            processingLevel="1",
            processingDate=EPOCH,
            processingCenter="Production Service-SERCO",
            processorName="Sentinel-1 IPF",
            processorVersion="003.71",
            timeliness="NRT-3h",
            sliceNumber=4,
            cloudCover=float(number),
        ),
    }
    return event(name, **(values | changes))


def some() -> list[CatalogEvent]:
    """One product of each kind: auxiliary file, plan, radar image, optical tile, over the dateline, odd name."""
    return [
        event("S1A_OPER_AUX_RESORB.EOF", b"1", 0),
        event("S1A_OPER_MPL_SPMPS.EOF", b"2", 1, attributes=attributes(productType="MPL_SPMPS_")),
        grd(),
        event(
            "S2B_MSIL2A_X.SAFE.zip",
            b"333",
            2,
            footprint={"type": "Polygon", "coordinates": [[[20, 20], [21, 20], [21, 21], [20, 21], [20, 20]]]},
            attributes=attributes(productType="MSIL2A", tileId="32TQM", cloudCover=12.5, platformSerialIdentifier="B"),
        ),
        event(
            "S3A_OL_1_EFR____.SEN3.zip",
            b"4444",
            3,
            footprint=DATELINE,
            attributes=attributes(productType="OL_1_EFR___"),
        ),
        event("S1D it's odd.xml", b"55555", 4, attributes=attributes(cycleNumber=265, valid=True)),
    ]
