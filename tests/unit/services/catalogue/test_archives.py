"""Archives that somebody made to hurt: refused with a reason, whatever they claim, in bounded memory."""

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsys.services.catalogue.archive import HEADERS_BYTES, files_in
from refsys.services.catalogue.documents import metadata_documents
from refsys.services.catalogue.files import MEMBERS_LIMIT
from refsys.services.catalogue.xml import LIMIT_BYTES, UnreadableError

ZIP = "S1A_AUX_CAL_V20171017T080000_G20171013T101200.SAFE.zip"
TGZ = "S2__OPER_AUX_ECMWFD_PDMC_20190216T120000_V20190217T090000_20190217T210000.TGZ"
TAR = TGZ.replace("TGZ", "tar")
MIB = 2**20


def tar_of(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("X/manifest.safe", "w", force_zip64=True) as member,
    ):
        member.write(b"<a>")
        for _ in range(40):
            member.write(b"<b/>" * (MIB // 4))
    return buffer.getvalue()


def long_document() -> bytes:
    return tar_of(("X/x.HDR", b"<a>" + b"x" * 9 * MIB + b"</a>"))


def many_members() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(MEMBERS_LIMIT + 1):
            archive.writestr(f"{number}", b"")
    return buffer.getvalue()


def packed_by(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("X/manifest.safe", b"<XFDU/>")
    return buffer.getvalue()


def endless_header(kind: bytes) -> bytes:
    """A tar whose header announces 40 MiB of further headers."""
    header = tarfile.TarInfo("x")
    header.type = kind
    header.size = 40 * MIB
    return gzip.compress(header.tobuf() + bytes(40 * MIB), 1)


def tar_bomb() -> bytes:
    return gzip.compress(tar_of(("X/Inventory_Metadata.xml", b"<a>" + b"<b/>" * (4 * MIB))), 1)


BAD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "zip bomb": (ZIP, zip_bomb, "over .* elements"),
    "tar bomb": (TGZ, tar_bomb, "over .* elements"),
    "long document": (TAR, long_document, "over .* bytes"),
    "many members": (ZIP, many_members, "members"),
    "pax header": (TGZ, lambda: endless_header(tarfile.XHDTYPE), "structure is too large"),
    "long name": (TGZ, lambda: endless_header(tarfile.GNUTYPE_LONGNAME), "structure is too large"),
    "odd method": (ZIP, lambda: packed_by(zipfile.ZIP_LZMA), "no known method"),
    "tar path": (TAR, lambda: tar_of(("../x.HDR", b"<a/>")), "leads out of it"),
    "tar root": (TAR, lambda: tar_of(("/etc/x.HDR", b"<a/>")), "leads out of it"),
    "empty tar": (TAR, tar_of, "empty"),
    "no document": (TAR, lambda: tar_of(("a/b.bin", b"x")), "no metadata document"),
    "gzip alone": (TGZ, lambda: gzip.compress(b"<a/>"), "broken"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_hostile_archive_is_refused_in_flat_memory(case: str) -> None:
    name, make, reason = BAD[case]
    content = io.BytesIO(make())
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError, match=reason):
            metadata_documents(files_in(name, content))
        assert tracemalloc.get_traced_memory()[1] < 6 * (HEADERS_BYTES + LIMIT_BYTES)
    finally:
        tracemalloc.stop()


def test_only_what_is_needed_of_a_large_tar_is_read() -> None:
    class Counting(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

    inventory = b"<Inventory_Metadata/>"
    file = Counting(tar_of(("X/a.bin", bytes(20 * MIB)), ("X/Inventory_Metadata.xml", inventory), ("X/z", bytes(MIB))))
    (root,) = metadata_documents(files_in(TAR, file))
    assert root.tag == "Inventory_Metadata"
    assert file.count < MIB


def test_a_broken_document_beside_a_better_one_is_left_aside() -> None:
    members = [("X/S2A_MTD.xml", b"<a>" + bytes(9 * MIB)), ("X/Inventory_Metadata.xml", b"<Inventory_Metadata/>")]
    for order in (members, members[::-1]):
        (root,) = metadata_documents(files_in(TAR, io.BytesIO(tar_of(*order))))
        assert root.tag == "Inventory_Metadata"
    with pytest.raises(UnreadableError, match="malformed"):
        metadata_documents(
            files_in(TAR, io.BytesIO(tar_of(("X/Inventory_Metadata.xml", b"<a>"), ("X/b.xml", b"<b/>"))))
        )


@pytest.mark.parametrize(
    ("offset", "changes", "said"),
    [
        # The member's own header says that its name is UTF-8, and it is not.
        (0, {7: 8, 30: 128}, "codec can't decode"),
        # The directory says that the member is encrypted.
        (b"PK\x01\x02", {8: 1}, "encrypted"),
    ],
)
def test_a_member_that_cannot_be_opened_is_unreadable(offset: int | bytes, changes: dict[int, int], said: str) -> None:
    damaged = bytearray(packed_by(zipfile.ZIP_DEFLATED))
    start = damaged.index(offset) if isinstance(offset, bytes) else offset
    for position, value in changes.items():
        damaged[start + position] = value
    with pytest.raises(UnreadableError, match=said):
        metadata_documents(files_in(ZIP, io.BytesIO(bytes(damaged))))


@settings(deadline=None)
@given(st.binary(max_size=3000), st.sampled_from([ZIP, TGZ, TAR, "S1A_OPER_AUX_OBMEMC_PDMC_20140201T000000.xml"]))
def test_any_bytes_are_documents_or_unreadable(content: bytes, name: str) -> None:
    try:
        assert metadata_documents(files_in(name, io.BytesIO(content)))
    except UnreadableError as error:
        assert str(error)


@settings(deadline=None)
@given(st.data())
def test_any_damage_to_a_good_archive_is_seen_or_harmless(data: st.DataObject) -> None:
    name, good = data.draw(
        st.sampled_from([(ZIP, packed_by(zipfile.ZIP_DEFLATED)), (TAR, tar_of(("X/x.HDR", b"<a/>")))])
    )
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert metadata_documents(files_in(name, io.BytesIO(bytes(damaged))))
    except UnreadableError as error:
        assert str(error)
