"""Preview images of products: which are taken from archives and folders, and which are not."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.means.memory_store import MemoryObjects

from refsys.services.catalogue.archive import files_in
from refsys.services.catalogue.files import Folder, ProductFiles
from refsys.services.catalogue.quicklooks import (
    IMAGES_LIMIT,
    LIMIT_BYTES,
    has_quicklooks,
    store_quicklooks,
)
from refsys.services.common.families import QUICKLOOKS

PNG, JPEG, JP2 = b"\x89PNG\r\n\x1a\n rest", b"\xff\xd8\xff rest", b"\x00\x00\x00\x0cjP  \r\n\x87\n rest"
S1 = "S1A_IW_GRDH_1SDV_20180227T145344_20180227T145413_020794_023A69_C0B5.SAFE"
EOP = b"""<eop:EarthObservation xmlns:eop="e" xmlns:ows="o" xmlns:xlink="http://www.w3.org/1999/xlink"><eop:result>
<eop:browse><eop:BrowseInformation><eop:fileName><ows:ServiceReference xlink:href="./pretty.jpg"/></eop:fileName>
</eop:BrowseInformation></eop:browse><eop:fileName>data.nc</eop:fileName></eop:result></eop:EarthObservation>"""


def zipped(members: dict[str, bytes]) -> ProductFiles:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return files_in("X.zip", buffer)


def tarred(members: dict[str, bytes]) -> ProductFiles:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    buffer.seek(0)
    return files_in("X.tar", buffer)


@pytest.fixture
def store(tmp_path: Path) -> MemoryObjects:
    return MemoryObjects(tmp_path)


CASES: list[tuple[str, dict[str, bytes], list[tuple[str, str]]]] = [
    (
        "L1_SLICE",
        {f"{S1}/manifest.safe": b"<a/>", f"{S1}/preview/quick-look.png": PNG, f"{S1}/preview/map.png": PNG},
        [("quick-look.png", "image/png")],
    ),
    (
        "S2_L1C_TC",
        {
            "S2A.SAFE/GRANULE/L1C_T31/QI_DATA/T31TFJ_20200101T103421_PVI.jp2": JP2,
            "S2A.SAFE/GRANULE/L1C_T31/IMG_DATA/T31TFJ_20200101T103421_B01.jp2": JP2,
            "S2A.SAFE/S2A-ql.jpg": JPEG,
        },
        [("S2A-ql.jpg", "image/jpeg"), ("T31TFJ_20200101T103421_PVI.jp2", "image/jp2")],
    ),
    (
        "S2_L1C_TL",
        {"S2A_T/QI_DATA/S2A_OPER_PVI_L1C_TL_X_T31TFJ.jp2": JP2, "S2A_T/IMG_DATA/S2A_B01.jp2": JP2},
        [("S2A_OPER_PVI_L1C_TL_X_T31TFJ.jp2", "image/jp2")],
    ),
    (
        "S3_L1_NRT",
        {"S3A.SEN3/quicklook.jpg": JPEG, "S3A.SEN3/browse.jpeg": JPEG, "S3A.SEN3/x/quicklook.jpg": JPEG},
        [("browse.jpeg", "image/jpeg"), ("quicklook.jpg", "image/jpeg")],
    ),
    (
        "S3_L2_NTC",
        {"S3A.SEN3/EOPMetadata.xml": EOP, "S3A.SEN3/pretty.jpg": JPEG, "S3A.SEN3/other.jpg": JPEG},
        [("pretty.jpg", "image/jpeg")],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
@pytest.mark.parametrize("packed", ["zip", "tar", "folder"])
def test_images_of_each_mission(
    case: tuple[str, dict[str, bytes], list[tuple[str, str]]], packed: str, store: MemoryObjects
) -> None:
    family, members, images = case
    if packed == "folder":
        for key, content in members.items():
            store.put("b", key, [content], len(content))
        files: ProductFiles = Folder(store, "b", next(iter(members)).split("/")[0])
    else:
        files = (zipped if packed == "zip" else tarred)(members)
    found = store_quicklooks(store, "NAME.SAFE", family, files)
    assert sorted((each["image"], each["contentType"]) for each in found) == images
    assert store.keys(QUICKLOOKS) == [f"NAME.SAFE/{image}" for image, _ in images]
    for each in found:
        content = b"".join(store.read(QUICKLOOKS, f"NAME.SAFE/{each['image']}"))
        assert each["storagePath"] == f"s3://{QUICKLOOKS}/NAME.SAFE/{each['image']}"
        assert len(content) == each["size"] and content.endswith(b" rest")
    assert store_quicklooks(store, "NAME.SAFE", family, files) == found


def test_only_products_have_images() -> None:
    assert has_quicklooks("L1_SLICE") and has_quicklooks("S2_L2A_TC") and has_quicklooks("S3_L2_NRT")
    assert not any(map(has_quicklooks, ("AUXILIARY_FILE", "S2_AUX", "S3_AUX", "EDRS_SESSION", "L1_SLICE_ZIP")))


@pytest.mark.parametrize(
    "content",
    [b"", b"<html/>", JPEG, PNG + bytes(LIMIT_BYTES)],
    ids=["empty", "another kind", "jpeg named png", "too large"],
)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_what_is_no_such_image_is_left_out(make: object, content: bytes, store: MemoryObjects) -> None:
    assert callable(make)
    assert store_quicklooks(store, "N", "L1_SLICE", make({f"{S1}/preview/quick-look.png": content})) == []
    assert store.keys(QUICKLOOKS) == []


def test_an_image_that_lies_about_its_size_is_left_out(store: MemoryObjects) -> None:
    """The directory says little, the packed bytes are many."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{S1}/preview/quick-look.png", PNG + bytes(4 * LIMIT_BYTES))
    true, false = (number.to_bytes(4, "little") for number in (len(PNG) + 4 * LIMIT_BYTES, len(PNG)))
    lying = buffer.getvalue().replace(true, false)
    assert lying != buffer.getvalue()
    assert store_quicklooks(store, "N", "L1_SLICE", files_in("X.zip", io.BytesIO(lying))) == []


def test_many_images_and_strange_names_are_bounded(store: MemoryObjects) -> None:
    many = {f"S3A.SEN3/browse_{number}.png": PNG for number in range(3 * IMAGES_LIMIT)}
    assert len(store_quicklooks(store, "N", "S3_L1_NRT", zipped(many))) == IMAGES_LIMIT
    strange = {"S3A.SEN3/browse\u202e'.png": PNG, "S3A.SEN3/browse .png": PNG, "S3A.SEN3/quicklook.png": PNG}
    assert [each["image"] for each in store_quicklooks(store, "M", "S3_L1_NRT", zipped(strange))] == ["quicklook.png"]


def test_a_broken_archive_has_no_images(store: MemoryObjects) -> None:
    assert store_quicklooks(store, "N", "L1_SLICE", files_in("X.zip", io.BytesIO(b"PK nothing"))) == []
    hostile = {"S3A.SEN3/EOPMetadata.xml": b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "S3A.SEN3/quicklook.jpg": JPEG}
    assert store_quicklooks(store, "N", "S3_L1_NRT", zipped(hostile)) == []
