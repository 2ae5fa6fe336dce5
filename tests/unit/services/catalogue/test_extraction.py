"""Metadata of every kind of auxiliary file, made-up and real ones, and what must be refused."""

import io
import os
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.means.generator import generate, pack

from refsys.services.catalogue.archive import files_in
from refsys.services.catalogue.attributes import TYPES
from refsys.services.catalogue.documents import metadata_documents
from refsys.services.catalogue.metadata import Metadata, read_metadata
from refsys.services.catalogue.xml import LIMIT_BYTES, OPEN_END, UnreadableError, moment
from refsys.services.common.names import parse_name

NAME = "S1A_OPER_AUX_RESORB_OPOD_20171213T143838_V20171213T102737_20171213T134507.EOF"
HEADER = f"""<Earth_Explorer_File><Earth_Explorer_Header><Fixed_Header>
<File_Name>{NAME.removesuffix(".EOF")}</File_Name><File_Class>OPER</File_Class><File_Type>AUX_RESORB</File_Type>
<Validity_Period><Validity_Start>UTC=2017-12-13T10:27:37</Validity_Start>
<Validity_Stop>UTC=2017-12-13T13:45:07</Validity_Stop></Validity_Period>
<Source><System>OPOD</System><Creator>OPOD</Creator><Creator_Version>1.4.0</Creator_Version>
<Creation_Date>UTC=2017-12-13T14:38:38</Creation_Date></Source>
</Fixed_Header></Earth_Explorer_Header>"""


def extract(name: str, content: bytes) -> Metadata:
    return read_metadata(parse_name(name), metadata_documents(files_in(name, io.BytesIO(content))))


def values(metadata: Metadata) -> dict[str, str | int | float | bool]:
    return {attribute.name: attribute.value for attribute in metadata.attributes}


def test_an_orbit_file_has_its_attributes() -> None:
    metadata = extract(NAME, HEADER.encode() + b"<Data_Block/></Earth_Explorer_File>")
    assert metadata.start == datetime(2017, 12, 13, 10, 27, 37, tzinfo=UTC)
    assert metadata.end == datetime(2017, 12, 13, 13, 45, 7, tzinfo=UTC)
    assert metadata.footprint is None
    assert values(metadata) == {
        "beginningDateTime": "2017-12-13T10:27:37.000000Z",
        "endingDateTime": "2017-12-13T13:45:07.000000Z",
        "platformSerialIdentifier": "A",
        "platformShortName": "SENTINEL-1",
        "processingCenter": "OPOD",
        "processingDate": "2017-12-13T14:38:38.000000Z",
        "processorName": "OPOD",
        "processorVersion": "1.4.0",
        "productClass": "OPER",
        "productType": "AUX_RESORB",
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_generated_and_real_files_are_read(tmp_path: Path, seed: int) -> None:
    files = generate(tmp_path, 15, seed=seed, size=5_000)
    samples = os.environ.get("REFSYS_SAMPLES")
    files += pack(Path(samples), tmp_path) if samples else []
    for path in files:
        metadata = extract(path.name, path.read_bytes())
        found = {attribute.name: attribute.type for attribute in metadata.attributes}
        assert {"productType", "platformShortName", "processingDate"} <= found.keys(), path.name
        assert found.items() <= TYPES.items()


def test_the_data_after_the_header_is_not_read() -> None:
    class Endless(io.RawIOBase):
        def __init__(self) -> None:
            self.start = io.BytesIO(HEADER.encode() + b"<Data_Block>")

        def read(self, size: int = -1, /) -> bytes:
            return self.start.read(size) or b"<OSV></OSV>" * (size // 11)

    roots = metadata_documents(files_in(NAME, Endless()))  # type: ignore[arg-type]  # only `read` is used
    assert read_metadata(parse_name(NAME), roots).end.year == 2017


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return buffer.getvalue()


ZIP = "S1A_AUX_CAL_V20171017T080000_G20171013T101200.SAFE.zip"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (NAME, b"", "malformed"),
        (NAME, b"<a><b></a>", "malformed"),
        (NAME, b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "document type"),
        (NAME, b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        (NAME, b"<other/>", "unknown format"),
        (NAME, HEADER.replace("S1A", "S1B").encode(), "another file"),
        (NAME, HEADER.replace("UTC=2017-12-13T13:45:07", "tomorrow").encode(), "Validity_Stop is not a time"),
        (NAME, HEADER.replace("13T13:45:07", "12T13:45:07").encode(), "ends before"),
        (NAME, b"<a>" + b"<!-- long comment -->" * (LIMIT_BYTES // 20) + b"</a>", "over"),
        (ZIP, b"no zip", "archive is broken"),
        (ZIP, zipped(readme=b"x"), "no metadata document"),
        (ZIP, zipped(**{"..__manifest_dot_safe": b"<XFDU/>"}), "leads out of it"),
        (ZIP, zipped(**{"__etc__manifest_dot_safe": b"<XFDU/>"}), "leads out of it"),
        (ZIP, zipped(X__manifest_dot_safe=b'<!DOCTYPE a [<!ENTITY b "c">]><XFDU>&b;</XFDU>'), "document type"),
        (ZIP, zipped(X__manifest_dot_safe=b"<XFDU/>"), "validity is missing"),
        (ZIP, zipped(X__manifest_dot_safe=b"<XFDU><number>B</number></XFDU>"), "another satellite"),
        (ZIP, zipped(X__manifest_dot_safe=b"<a>" + b"<!-- long comment -->" * (LIMIT_BYTES // 20)), "over"),
        (ZIP.removesuffix(".zip"), b"x", "no metadata in it"),
        ("S2__OPER_AUX_ECMWFD_PDMC_20190216T120000_V20190217T090000_20190217T210000.TGZ", b"x" * 600, "broken"),
    ],
)
def test_what_is_unreadable_has_a_reason(name: str, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        extract(name, content)


def test_a_truncated_archive_is_unreadable(tmp_path: Path) -> None:
    for path in generate(tmp_path, 5, size=50_000):
        if path.suffix in (".zip", ".TGZ"):
            content = path.read_bytes()
            with pytest.raises(UnreadableError):
                extract(path.name, content[: len(content) // 2])


def test_the_inventory_counts_before_the_manifest() -> None:
    buffer = io.BytesIO()
    inventory = b"""<Inventory_Metadata><Generation_Time>UTC=2019-02-22T00:35:39.000716</Generation_Time>
    <Validity_Start>UTC=2019-02-21T19:04:38</Validity_Start><Validity_Stop>UTC=2019-02-21T20:45:19</Validity_Stop>
    <Start_Orbit_Number>019158</Start_Orbit_Number><Processing_Station>SGS_</Processing_Station></Inventory_Metadata>"""
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in {"X/manifest.safe": b"<XFDU/>", "X/Inventory_Metadata.xml": inventory}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    name = "S2A_OPER_AUX_SADATA_EPAE_20190222T003515_V20190221T190438_20190221T204519_A019158_WF_LN.tar"
    found = values(extract(name, buffer.getvalue()))
    assert found["orbitNumber"] == 19158
    assert found["processingCenter"] == "SGS"


def test_open_ends_have_a_date() -> None:
    assert moment("UTC=9999-99-99T99:99:99", "x") == OPEN_END
    assert moment("UTC=0000-00-00T00:00:00", "x").year == 1
