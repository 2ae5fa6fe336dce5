"""Archives: written the same each time and readable by others; hostile ones refused, whatever their bytes."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsys.services.compression import unpack as unpacking
from refsys.services.compression.archives import Member, SourceError, pack, size_limit
from refsys.services.compression.rules import SUFFIXES, Format
from refsys.services.compression.unpack import HostileArchiveError, safe_path, unpack

FILES = {"P.SAFE/manifest.safe": b"<x/>", "P.SAFE/data/a.dat": bytes(range(256)) * 9000, "P.SAFE/empty": b""}


def members(files: dict[str, bytes], step: int = 1000) -> list[Member]:
    def reader(content: bytes) -> Iterator[bytes]:
        return (content[start : start + step] for start in range(0, len(content), step))

    return [Member(name, len(content), partial(reader, content)) for name, content in files.items()]


def content_of(name: str, archive: bytes) -> dict[str, bytes]:
    unpacked = unpack(name, io.BytesIO(archive), len(archive))
    return {each.path: b"".join(each.chunks) for each in unpacked}


@pytest.mark.parametrize("form", list(Format))
def test_round_trip_same_bytes_each_time(form: Format) -> None:
    packed = b"".join(pack(form, members(FILES)))
    assert packed == b"".join(pack(form, members(FILES)))
    assert len(packed) <= size_limit(members(FILES))
    assert content_of(f"P{SUFFIXES[form]}", packed) == FILES


def test_others_read_them() -> None:
    deflated, stored = (b"".join(pack(form, members(FILES))) for form in (Format.ZIP_DEFLATE, Format.ZIP_STORE))
    for packed, method in ((deflated, zipfile.ZIP_DEFLATED), (stored, zipfile.ZIP_STORED)):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            assert archive.testzip() is None
            assert {each.filename: archive.read(each) for each in archive.infolist()} == FILES
            assert {each.compress_type for each in archive.infolist()} == {method}
            assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert len(deflated) < len(stored)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pack(Format.TGZ, members(FILES))))) as tar:
        assert {each.name: (each.size, each.mtime, each.uid) for each in tar} == {
            name: (len(content), 0, 0) for name, content in FILES.items()
        }


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("announced", [3, 5])
def test_a_source_of_another_size_ends_the_archive(form: Format, announced: int) -> None:
    with pytest.raises(SourceError, match="listed with"):
        b"".join(pack(form, [Member("a", announced, lambda: [b"four"])]))


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_of(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in entries:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_link() -> bytes:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zip_of((info, b"/etc/passwd"))


def zip_lying() -> bytes:
    """A member that holds more than its headers say."""
    packed = bytearray(zip_of(("a", b"x" * 1000)))
    central = packed.index(b"PK\x01\x02")
    packed[central + 24 : central + 28] = struct.pack("<L", 10)
    return bytes(packed)


def zip_encrypted() -> bytes:
    packed = bytearray(zip_of(("a", b"x")))
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    return bytes(packed)


def zip_overlapping() -> bytes:
    """Two entries of the directory for the same bytes (as in quine and overlap bombs)."""
    packed = bytearray(zip_of(("a", b"x" * 100), ("b", b"y" * 100)))
    second = packed.index(b"PK\x01\x02", packed.index(b"PK\x01\x02") + 4)
    packed[second + 42 : second + 46] = struct.pack("<L", 0)
    return bytes(packed)


def tar_long_name(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = kind, size
    return info.tobuf() + bytes(10_240)


HOSTILE = {
    "parent.zip": (zip_of(("../../etc/passwd", b"x")), "leads out"),
    "inner-parent.zip": (zip_of(("a/../../b", b"x")), "leads out"),
    "absolute.zip": (zip_of(("/etc/passwd", b"x")), "leads out"),
    "windows.zip": (zip_of(("..\\a", b"x")), "not taken"),
    "drive.zip": (zip_of(("C:/a", b"x")), "not taken"),
    "old-encoding.zip": (zip_of(("cafe1", b"x")).replace(b"cafe1", b"caf\xe91"), "encoding"),
    "old-encoding.tar": (tar_of((tar_member("caf\udce9"), b"x")), "not taken"),
    "control.zip": (zip_of(("a\nb", b"x")), "not taken"),
    "long.zip": (zip_of(("a" * 900, b"x")), "too long"),
    "deep.zip": (zip_of(("a/" * 40 + "b", b"x")), "too deep"),
    "link.zip": (zip_link(), "neither a file nor a folder"),
    "bomb.zip": (zip_of(("zeros", bytes(100 * 2**20))), "unpacks to more"),
    "lying.zip": (zip_lying(), "broken"),
    "encrypted.zip": (zip_encrypted(), "encrypted"),
    "overlap.zip": (zip_overlapping(), "overlaps"),
    "lzma.zip": (zip_of(("a", b"x"), method=zipfile.ZIP_LZMA), "packed by method"),
    "twice.zip": (zip_of(("a", b"x"), ("./a", b"y")), "two members"),
    "through.zip": (zip_of(("a", b"x"), ("a/b", b"y")), "two members"),
    "truncated.zip": (zip_of(("a", b"x" * 1000))[:-30], "broken"),
    "empty.zip": (b"", "broken"),
    "parent.tar": (tar_of((tar_member("../a"), b"x")), "leads out"),
    "symlink.tar": (tar_of((tar_member("a", tarfile.SYMTYPE, "/etc"), b"")), "neither a file nor a folder"),
    "hardlink.tar": (tar_of((tar_member("a", tarfile.LNKTYPE, "b"), b"")), "neither a file nor a folder"),
    "device.tar": (tar_of((tar_member("a", tarfile.CHRTYPE), b"")), "neither a file nor a folder"),
    "truncated.tar": (tar_of((tar_member("a"), b"x" * 5000))[:3000], "broken"),
    "bomb.tgz": (gzip.compress(tar_of((tar_member("zeros"), bytes(100 * 2**20)))), "unpacks to more"),
    "bad.tgz": (b"not gzip at all", "broken"),
    "name-bomb.tar": (tar_long_name(tarfile.GNUTYPE_LONGNAME, 2**32), "tar header"),
    "pax-bomb.tar": (tar_long_name(tarfile.XHDTYPE, 2**30), "tar header"),
    "global-bomb.tar": (tar_long_name(tarfile.XGLTYPE, 2**20), "tar header"),
    "sparse.tar": (tar_of((tar_member("a", tarfile.GNUTYPE_SPARSE), b"")), "tar header"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_refused_with_a_reason(name: str) -> None:
    archive, reason = HOSTILE[name]
    with pytest.raises(HostileArchiveError, match=reason):
        content_of(name, archive)


def test_too_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MEMBERS_LIMIT", 50)
    for name, archive in (
        ("a.zip", zip_of(*((f"{number}/", b"") for number in range(51)))),
        ("a.tar", tar_of(*((tar_member(str(number)), b"") for number in range(51)))),
    ):
        with pytest.raises(HostileArchiveError, match="more than 50 members"):
            content_of(name, archive)


def test_a_directory_that_does_not_fit_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "READ_LIMIT_BYTES", 2000)
    with pytest.raises(HostileArchiveError, match="directory is too large"):
        content_of("a.zip", zip_of(*((f"{number:08d}", b"") for number in range(100))))


@given(st.text(max_size=60) | st.lists(st.sampled_from(["..", ".", "", "a", "b\0", "C:", "\\"])).map("/".join))
def test_a_path_stays_inside_or_is_refused(name: str) -> None:
    try:
        path = safe_path(name)
    except HostileArchiveError:
        return
    assert path.isprintable()
    assert all(part not in {"", ".", ".."} for part in path.split("/"))
    assert "\\" not in path


GOOD = {
    "a.zip": b"".join(pack(Format.ZIP_DEFLATE, members({"d/a": b"content" * 50, "d/b": b"more"}))),
    "a.tar": b"".join(pack(Format.TAR, members({"d/a": b"content" * 50, "d/b": b"more"}))),
    "a.tgz": b"".join(pack(Format.TGZ, members({"d/a": b"content" * 50, "d/b": b"more"}))),
}


@settings(max_examples=600, deadline=None)
@given(
    st.sampled_from(sorted(GOOD)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6),
    st.floats(0, 1),
)
def test_damaged_archives_never_do_anything_else(name: str, damage: list[tuple[float, bytes]], keep: float) -> None:
    """Whatever is changed or cut off: the members come out, or the archive is refused. Nothing else is raised."""
    archive = bytearray(GOOD[name])
    for place, replacement in damage:
        start = int(place * len(archive))
        archive[start : start + len(replacement)] = replacement
    if keep < 0.5:
        archive = archive[: int(len(archive) * 2 * keep)]
    try:
        found = content_of(name, bytes(archive))
    except HostileArchiveError as error:
        assert str(error)
        return
    assert sum(map(len, found.values())) < 10_000
    assert all(safe_path(path) == path for path in found)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=2000))
def test_rubbish_is_refused_or_empty(name: str, rubbish: bytes) -> None:
    try:
        assert content_of(name, rubbish) == {}
    except HostileArchiveError:
        return
