"""What may be uploaded, and what a complete upload must be."""

import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.means.generator import generate

from refsys.services.common.messages import utc_now
from refsys.services.common.names import InvalidNameError
from refsys.services.components.stations import AUXILIARY_INBOXES
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.stations import Inbox
from refsys.services.ingestor.check import RefusedError, check
from refsys.services.ingestor.rules import InvalidChecksumError, announced_checksum, auxiliary_name

EOF = "S1A_OPER_AUX_RESORB_OPOD_20240101T050000_V20240101T000000_20240101T030000.EOF"
S3 = f"S3A_AX___MA__AX_20240101T000000_20240101T060000_20240101T070000_{'_' * 17}_ECW_O_SN_001.SEN3.zip"
TGZ = "S2__OPER_AUX_UT1UTC_PDMC_20240101T000000_V20240101T000000_20240102T000000.TGZ"


def eof(kind: str = "AUX_RESORB", start: str = "2024-01-01T00:00:00", body: str = "", head: str = "") -> bytes:
    return f"""<?xml version="1.0"?>{head}<Earth_Explorer_File><Earth_Explorer_Header><Fixed_Header>
<File_Type>{kind}</File_Type><Validity_Period><Validity_Start>UTC={start}</Validity_Start>
<Validity_Stop>UTC=2024-01-01T03:00:00</Validity_Stop></Validity_Period>
<Source><Creation_Date>UTC=2024-01-01T05:00:00</Creation_Date></Source></Fixed_Header></Earth_Explorer_Header>
<Data_Block>{body}</Data_Block></Earth_Explorer_File>""".encode()


def look(tmp_path: Path, name: str, data: bytes, checksum: str = "") -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)
    with path.open("rb") as file:
        check(auxiliary_name(name), file, len(data), "SHA-256", checksum or hashlib.sha256(data).hexdigest())


def zipped(*members: tuple[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return memory.getvalue()


def test_auxiliary_files_of_all_missions_are_taken(tmp_path: Path) -> None:
    for path in generate(tmp_path / "made", 15, size=20_000):
        name = auxiliary_name(path.name)
        look(tmp_path, path.name, path.read_bytes())
        inboxes = [Inbox.model_validate(each) for each in AUXILIARY_INBOXES]
        file = ListedFile(id="x", name=path.name, size=1, publication_date=utc_now())
        assert [inbox.family for inbox in inboxes if inbox.takes(file)] == [name.families[0]]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "notes.txt",
        "../../etc/passwd",
        f"../{EOF}",
        f"{EOF}\n",
        "S1A_IW_RAW__0SDV_20200105T072204_20200105T072236_030684_038483_2F3A.SAFE.zip",  # a product
        "DCS_01_S1A_20200105072204051312_ch1_DSDB_00001.raw",  # of a session
        "S1A_OPER_MPL_SP__20240101T000000_20240102T000000_0001.EOF",  # a plan
        "S1A_AUX_CAL_V20240101T000000_G20240101T010000.SAFE",  # a folder
        "S1A_OPER_AUX_RESORB_OPOD_20240101T050000_V20240101T000000_20240101T030000.DBL",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidNameError):
        auxiliary_name(name)


def test_checksums_are_algorithm_and_value() -> None:
    assert announced_checksum("MD5 " + "AB" * 16) == ("MD5", "ab" * 16)
    assert announced_checksum("sha256 " + "0" * 64) == ("SHA-256", "0" * 64)


@pytest.mark.parametrize("text", ["", "0" * 64, "SHA-256 " + "0" * 63, "CRC32 00000000", "MD5  " + "0" * 32, "MD5 xyz"])
def test_other_checksums_are_refused(text: str) -> None:
    with pytest.raises(InvalidChecksumError):
        announced_checksum(text)


def test_a_good_file_passes_and_one_of_other_bytes_does_not(tmp_path: Path) -> None:
    look(tmp_path, EOF, eof())
    with pytest.raises(RefusedError, match="SHA-256 of the received bytes is"):
        look(tmp_path, EOF, eof(), "0" * 64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (eof("AUX_POEORB"), "header has File_Type AUX_POEORB, the file name AUX_RESORB"),
        (eof(start="2024-01-01T00:00:01"), "header has Validity_Start 2024-01-01T00:00:01"),
        (eof(body="<open>"), "malformed"),  # after the header, which is all that the catalogue reads
        (eof(head='<!DOCTYPE a [<!ENTITY b "c">]>', body="&b;"), "document type"),
        (eof(head='<!DOCTYPE a SYSTEM "file:///etc/passwd">'), "document type"),
        (b"\x00" * 1000, "malformed"),
        (b"<a/>", "unknown format"),
    ],
)
def test_documents_that_are_not_what_their_name_says_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        look(tmp_path, EOF, data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped(("a/xfdumanifest.xml", b"<x/>"), ("a/bomb", b"\0" * 100_000_000)), "unpacks to more than"),
        (zipped(("../../etc/cron.d/x", b"x")), "leads out of the archive"),
        (zipped(("a/data", b"x")), "no metadata document"),
        (zipped(("a/xfdumanifest.xml", b"<x/>"))[:-30], "broken"),
        (b"not a zip", "broken"),
    ],
)
def test_hostile_and_useless_archives_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        look(tmp_path, S3, data)


def test_links_in_archives_are_refused(tmp_path: Path) -> None:
    memory = io.BytesIO()
    with gzip.GzipFile(fileobj=memory, mode="wb") as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        link = tarfile.TarInfo("a/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(RefusedError, match="neither a file nor a folder"):
        look(tmp_path, TGZ, memory.getvalue())
