"""What the readers of all formats find in made-up documents."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.means import product_documents as made
from tests.means.documents import Times
from tests.means.products import tar_product, zip_product

from refsys.services.catalogue.archive import files_in
from refsys.services.catalogue.documents import metadata_documents
from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.metadata import Metadata, read_metadata
from refsys.services.catalogue.readers import session
from refsys.services.common.names import parse_name

START, STOP, CREATED = datetime(2024, 1, 2, 3, 4, 5), datetime(2024, 1, 2, 3, 4, 25), datetime(2024, 1, 3)
TIMES = Times(CREATED, START, STOP)
SQUARE = {(20.0, 10.0), (22.0, 10.0), (22.0, 12.0), (20.0, 12.0)}
SLICE = "S1C_IW_RAW__0SDV_20240102T030405_20240102T030425_019684_021735_C6DB.SAFE.zip"


def read(path: Path, draft: Draft | None = None) -> Metadata:
    with path.open("rb") as file:
        return read_metadata(parse_name(path.name), metadata_documents(files_in(path.name, file)), draft)


def values(metadata: Metadata) -> dict[str, Any]:
    return {attribute.name: attribute.value for attribute in metadata.attributes}


def corners(metadata: Metadata) -> set[tuple[float, float]]:
    assert metadata.footprint is not None
    return {(lon, lat) for lon, lat in metadata.footprint["coordinates"][0]}


def test_a_sentinel_1_slice(tmp_path: Path) -> None:
    metadata = read(zip_product(tmp_path / SLICE, manifest_safe=made.s1_manifest("C", TIMES)))
    assert metadata.start == datetime(2024, 1, 2, 3, 4, 5, 250000, UTC)
    assert metadata.end == datetime(2024, 1, 2, 3, 4, 25, 750000, UTC)
    assert metadata.timeliness == "NRT"
    assert corners(metadata) == SQUARE
    assert values(metadata) == {
        "beginningDateTime": "2024-01-02T03:04:05.250000Z",
        "endingDateTime": "2024-01-02T03:04:25.750000Z",
        "platformShortName": "SENTINEL-1",
        "platformSerialIdentifier": "C",
        "productType": "IW_RAW__0S",
        "processingLevel": "0",
        "processingCenter": "DLR-Oberpfaffenhofen",
        "processingDate": "2024-01-03T00:00:00.500000Z",
        "instrumentShortName": "SAR",
        "operationalMode": "IW",
        "swathIdentifier": "IW1 IW2",
        "polarisationChannels": "VV&VH",
        "orbitNumber": 19684,
        "lastOrbitNumber": 19685,
        "relativeOrbitNumber": 12,
        "lastRelativeOrbitNumber": 13,
        "cycleNumber": 127,
        "orbitDirection": "ASCENDING",
        "instrumentConfigurationID": 7,
        "datatakeID": 137013,
        "productClass": "S",
        "productConsolidation": "SLICE",
        "sliceProductFlag": True,
        "sliceNumber": 13,
        "startTimeFromAscendingNode": 164278.8,
        "completionTimeFromAscendingNode": 193284.4,
        "timeliness": "NRT",
        "qualityStatus": "NOMINAL",
    }


def test_a_level_1_product_has_its_category_and_its_own_processor(tmp_path: Path) -> None:
    name = "S1D_IW_GRDH_1SDV_20240102T030405_20240102T030425_019684_021735_C6DB.SAFE.zip"
    metadata = read(zip_product(tmp_path / name, manifest_safe=made.s1_manifest("D", TIMES, level=1)))
    found = values(metadata)
    assert metadata.timeliness == "FAST24"
    assert found["timeliness"] == "Fast-24h"
    assert (found["processorName"], found["processorVersion"]) == ("Sentinel-1 IPF", "003.71")
    assert (found["totalSlices"], found["productComposition"]) == (23, "Slice")
    assert found["segmentStartTime"] == "2024-01-02T03:04:05.250000Z"
    assert found["qualityStatus"] == "DEGRADED"


@pytest.mark.parametrize(
    ("store", "given", "timeliness"),
    [
        (0, {}, "PT"),
        (3, {}, "FAST24"),
        (20, {}, "FAST24"),
        (24, {}, "NRT"),
        (49, {}, "NRT"),
        (99, {}, ""),
        (24, {24: "Standard"}, "FAST24"),
        (24, {24: "PassThrough"}, "PT"),
        (24, {23: "NRT"}, ""),
    ],
)
def test_the_packet_store_tells_the_timeliness(
    tmp_path: Path, store: int, given: dict[int, str], timeliness: str
) -> None:
    path = zip_product(tmp_path / SLICE, manifest_safe=made.s1_manifest("C", TIMES, store=store))
    assert read(path, Draft(packet_stores=given)).timeliness == timeliness


def test_a_footprint_that_is_wrong_does_not_make_a_product_invalid(tmp_path: Path) -> None:
    path = zip_product(tmp_path / SLICE, manifest_safe=made.s1_manifest("C", TIMES, frame="10.0,20.0 x,y"))
    metadata = read(path)
    assert metadata.footprint is None
    assert values(metadata)["footprintNote"].startswith("footprint left out")


def test_a_sentinel_2_tile(tmp_path: Path) -> None:
    name = "S2C_OPER_MSI_L1C_TL_MTI__20240103T000000_A022326_T36UXV_N05.10"
    datastrip = "S2C_OPER_MSI_L1C_DS_MTI__20240103T000000_S20240102T030405_N05.10"
    path = tar_product(
        tmp_path / f"{name}.tar",
        manifest_safe="<XFDU/>",
        S2C_OPER_MTD_L1C_TL_xml=made.s2_tile(datastrip, START),
        Inventory_Metadata_xml=made.s2_inventory(name, "MSI_L1C_TL", TIMES),
    )
    metadata = read(path)
    assert (metadata.start, metadata.end) == (START.replace(tzinfo=UTC), STOP.replace(tzinfo=UTC))
    assert corners(metadata) == SQUARE
    assert values(metadata) == {
        "beginningDateTime": "2024-01-02T03:04:05.000000Z",
        "endingDateTime": "2024-01-02T03:04:25.000000Z",
        "platformShortName": "SENTINEL-2",
        "platformSerialIdentifier": "C",
        "productType": "MSI_L1C_TL",
        "productClass": "NOM",
        "processingLevel": "1C",
        "processingCenter": "MTI",
        "processorName": "L1C_Processor",
        "processorVersion": "5.1.0",
        "processingDate": "2024-01-03T00:00:00.000000Z",
        "instrumentShortName": "MSI",
        "operationalMode": "NOM",
        "orbitNumber": 22326,
        "lastOrbitNumber": 22327,
        "orbitDirection": "DESCENDING",
        "qualityInfo": 99.5,
        "cloudCover": 12.5,
        "tileId": "36UXV",
        "datastripId": datastrip,
        "productGroupId": "GS2A_20191001T082741_022326_N05.10",
        "baselineCollection": "05.10",
        "timeliness": "NOMINAL",
    }


def test_a_sentinel_2_datastrip_without_inventory(tmp_path: Path) -> None:
    name = "S2C_OPER_MSI_L1C_DS_2BPS_20240103T000000_S20240102T030405_N05.10"
    metadata = read(tar_product(tmp_path / f"{name}.tar", S2C_OPER_MTD_L1C_DS_xml=made.s2_datastrip(TIMES)))
    found = values(metadata)
    assert metadata.start == datetime(2024, 1, 2, 3, 4, 5, 100000, UTC)
    assert metadata.end == datetime(2024, 1, 2, 3, 4, 25, 200000, UTC)
    assert found["datastripId"] == name
    assert found["productGroupId"] == "GS2C_20240102T030405_022326_N05.10"
    assert (found["relativeOrbitNumber"], found["orbitDirection"]) == (22, "DESCENDING")
    assert (found["processingCenter"], found["baselineCollection"]) == ("2BPS", "05.10")
    assert found["qualityStatus"] == "NOMINAL"


def test_a_sentinel_2_user_product(tmp_path: Path) -> None:
    name = "S2D_MSIL2A_20240102T030405_N0510_R022_T31TCJ_20240103T000000.SAFE.zip"
    metadata = read(zip_product(tmp_path / name, manifest_safe="<XFDU/>", MTD_MSIL2A_xml=made.s2_user_product(TIMES)))
    found = values(metadata)
    assert metadata.start == datetime(2024, 1, 2, 3, 4, 5, 24000, UTC)
    assert corners(metadata) == SQUARE
    assert (found["processingLevel"], found["tileId"], found["cloudCover"]) == ("2A", "31TCJ", 3.5)
    assert (found["baselineCollection"], found["relativeOrbitNumber"]) == ("05.10", 22)
    assert found["qualityStatus"] == "DEGRADED"


def test_sentinel_2_housekeeping_telemetry(tmp_path: Path) -> None:
    name = "S2B_OPER_PRD_HKTM___20240102T030405_20240102T030425_0001.tar"
    metadata = read(tar_product(tmp_path / name, manifest_safe=made.hktm_manifest(TIMES)))
    assert metadata.start == datetime(2024, 1, 2, 3, 4, 5, 500000, UTC)
    assert values(metadata)["productType"] == "PRD_HKTM__"
    bare = read(tar_product(tmp_path / name, manifest_safe="<XFDU/>"))
    assert (bare.start, bare.end) == (START.replace(tzinfo=UTC), STOP.replace(tzinfo=UTC))


def test_a_sentinel_3_product(tmp_path: Path) -> None:
    name = "S3D_OL_1_EFR____20240102T030405_20240102T030425_20240103T000000_0179_100_022_1980_PS1_O_NR_004.SEN3.zip"
    document = made.s3_manifest("D", "OL_1_EFR___", TIMES)
    metadata = read(zip_product(tmp_path / name, xfdumanifest_xml=document))
    assert metadata.start == datetime(2024, 1, 2, 3, 4, 5, 111000, UTC)
    assert metadata.end == datetime(2024, 1, 2, 3, 4, 25, 222000, UTC)
    assert metadata.timeliness == "NRT"
    assert metadata.details == {"granuleNumber": "5", "granulePosition": "FIRST"}
    assert corners(metadata) == SQUARE
    assert values(metadata) == {
        "beginningDateTime": "2024-01-02T03:04:05.111000Z",
        "endingDateTime": "2024-01-02T03:04:25.222000Z",
        "platformShortName": "SENTINEL-3",
        "platformSerialIdentifier": "D",
        "productType": "OL_1_EFR___",
        "processingLevel": "1",
        "processingCenter": "Svalbard Core Ground Station",
        "processorName": "PUG",
        "processorVersion": "03.47",
        "processingDate": "2024-01-03T00:00:00.000000Z",
        "instrumentShortName": "OLCI",
        "operationalMode": "EO",
        "orbitNumber": 9999,
        "relativeOrbitNumber": 22,
        "cycleNumber": 100,
        "orbitDirection": "DESCENDING",
        "timeliness": "NR",
        "baselineCollection": "004",
        "qualityStatus": "PASSED",
        "cloudCover": 54.5,
    }


def test_a_session(tmp_path: Path) -> None:
    identifier = "S1A_20240102030405051312"
    path = tmp_path / f"DCS_02_{identifier}_ch1_DSIB.xml"
    path.write_text(made.session_information(identifier, 1, START, STOP, 2))
    metadata = read(path)
    assert (metadata.start, metadata.end) == (START.replace(tzinfo=UTC), STOP.replace(tzinfo=UTC))
    names = [f"DCS_02_{identifier}_ch1_DSDB_0000{number}.raw" for number in (1, 2)]
    assert metadata.details == {"sessionId": identifier, "channelId": 1, "rawNames": names, "dataSize": 2000}
    assert values(metadata)["platformSerialIdentifier"] == "A"


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("S1A_20240102030405051312", START.replace(tzinfo=UTC)),
        ("L20240102030405707000125", START.replace(tzinfo=UTC)),
        ("S1A_20249902030405051312", datetime(2030, 1, 1, tzinfo=UTC)),
        ("SESSION1", datetime(2030, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_raw_data_block_has_the_time_of_its_downlink(identifier: str, expected: datetime) -> None:
    draft, name = Draft(), parse_name(f"DCS_02_{identifier}_ch2_DSDB_00001.raw")
    assert session.is_raw(name)
    session.read_raw(name, datetime(2030, 1, 1, tzinfo=UTC), draft)
    assert read_metadata(name, [], draft).start == expected
    assert draft.details == {"sessionId": identifier, "channelId": 2}
