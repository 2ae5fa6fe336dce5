"""Archives from outside, read as a stream and trusted in nothing.

Refused with a reason: paths that lead elsewhere, links and devices, encrypted or overlapping members, too many of
them, and more unpacked bytes than an honest product has.
"""

import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Self, cast

MEMBERS_LIMIT = 20_000
UNPACKED_LIMIT_BYTES = 256 * 2**30
RATIO_LIMIT = 250
RATIO_FREE_BYTES = 64 * 2**20  # a small archive may pack well without being a bomb
PATH_LIMIT_BYTES = 700  # the product's name comes before it, and S3 keys end at 1024
DEPTH_LIMIT = 32
UTF8_FLAG = 0x800  # APPNOTE 4.4.4, bit 11
READ_LIMIT_BYTES = 32 * 2**20  # of one read; zipfile reads the whole directory of an archive at once
HEADER_LIMIT_BYTES = 64 * 1024
GLOBAL_HEADER_LIMIT_BYTES = 4 * 1024
CHUNK_BYTES = 2**20
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


class HostileArchiveError(Exception):
    """An archive that is not unpacked; the message says why."""


@dataclass(frozen=True)
class Unpacked:
    """A file of an archive; `chunks` must be read to its end before the next one is asked for."""

    path: str
    size: int
    chunks: Iterator[bytes]


def unpack(name: str, file: BinaryIO, packed_bytes: int) -> Iterator[Unpacked]:
    """The files of the archive `name`, with checked relative paths.

    Raises:
        HostileArchiveError: the archive is broken or dangerous.
    """
    budget = _Budget(packed_bytes)
    with _explained():
        if name.lower().endswith(".zip"):
            yield from _zip(cast(BinaryIO, _CappedFile(file)), budget)
        elif name.lower().endswith(".tar"):
            yield from _tar(file, budget)
        else:
            with gzip.GzipFile(fileobj=file, mode="rb") as unzipped:
                yield from _tar(cast(BinaryIO, unzipped), budget)


@contextmanager
def _explained() -> Iterator[None]:
    broken = (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, struct.error,
        EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError, LookupError,
    )  # fmt: skip
    try:
        yield
    except broken as error:
        raise HostileArchiveError(f"archive is broken: {type(error).__name__}: {str(error)[:300]}") from error


class _Budget:
    """What an archive may still unpack to."""

    def __init__(self, packed_bytes: int) -> None:
        self._limit = min(UNPACKED_LIMIT_BYTES, max(RATIO_FREE_BYTES, packed_bytes * RATIO_LIMIT))
        self._left = self._limit
        self._members = 0
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise HostileArchiveError(f"archive unpacks to more than {self._limit} bytes, too much for its size")

    def member(self) -> None:
        self._members += 1
        if self._members > MEMBERS_LIMIT:
            raise HostileArchiveError(f"archive has more than {MEMBERS_LIMIT} members")

    def file(self, name: str) -> str:
        """The checked path of a file, which no other file of the archive may have or lead through."""
        path = safe_path(name)
        parts = path.split("/")
        parents = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if path in self._files or path in self._folders or parents & self._files:
            raise HostileArchiveError(f"archive has two members for the path {path[:120]!r}")
        self._files.add(path)
        self._folders |= parents
        return path


def safe_path(name: str) -> str:
    """A member's name as a relative path without surprises.

    Raises:
        HostileArchiveError: the name leads elsewhere, or is no name for an object.
    """
    path = name.removeprefix("./")
    parts = path.split("/")
    if len(path.encode("utf-8", "surrogateescape")) > PATH_LIMIT_BYTES or len(parts) > DEPTH_LIMIT:
        raise HostileArchiveError(f"member name is too long or too deep: {name[:120]!a}")
    if not path.isprintable() or "\\" in path or ":" in parts[0]:
        raise HostileArchiveError(f"member name has characters that are not taken: {name[:120]!a}")
    if any(part in {"", ".", ".."} for part in parts):
        raise HostileArchiveError(f"member name leads out of the archive: {name[:120]!a}")
    return path


class _CappedFile:
    """A file that refuses to read very much at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > READ_LIMIT_BYTES:
            raise HostileArchiveError(f"archive asks for {size} bytes at once: its directory is too large")
        return self._file.read(size if size >= 0 else READ_LIMIT_BYTES)


def _zip(file: BinaryIO, budget: _Budget) -> Iterator[Unpacked]:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        _check_zip(members)
        for member in members:
            budget.member()
            if member.is_dir():
                continue
            path = budget.file(member.orig_filename)
            budget.spend(member.file_size)
            with archive.open(member) as content:
                yield Unpacked(path, member.file_size, _chunks(content, member.file_size, path))


def _check_zip(members: list[zipfile.ZipInfo]) -> None:
    """What can be known before the first byte is unpacked."""
    end = 0
    for member in sorted(members, key=lambda each: each.header_offset):
        shown = ascii(member.filename[:120])
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise HostileArchiveError(f"member {shown} is neither a file nor a folder")
        if not member.orig_filename.isascii() and not member.flag_bits & UTF8_FLAG:
            raise HostileArchiveError(f"member name {shown} is in an encoding that the archive does not name")
        if member.flag_bits & 1:
            raise HostileArchiveError(f"member {shown} is encrypted")
        if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise HostileArchiveError(f"member {shown} is packed by method {member.compress_type}: not taken")
        if member.header_offset < end:
            raise HostileArchiveError(f"member {shown} overlaps another")
        end = member.header_offset + member.compress_size


class _GuardedTarInfo(tarfile.TarInfo):
    """Members whose extension headers are of honest size, since tarfile reads those into memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> Self:
        limit = {tarfile.XGLTYPE: GLOBAL_HEADER_LIMIT_BYTES} | dict.fromkeys(_EXTENSIONS, HEADER_LIMIT_BYTES)
        if self.size > limit.get(self.type, self.size) or self.type == tarfile.GNUTYPE_SPARSE:
            raise HostileArchiveError(f"tar header of type {self.type!r} with {self.size} bytes is not taken")
        processed: Self = super()._proc_member(archive)  # type: ignore[misc]  # the hook tarfile has for this
        return processed


class _CountedFile:
    """A tar as it is read, each byte taken from the budget."""

    def __init__(self, file: BinaryIO, budget: _Budget) -> None:
        self._file, self._budget = file, budget

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._budget.spend(len(data))
        return data


def _tar(file: BinaryIO, budget: _Budget) -> Iterator[Unpacked]:
    counted = cast(BinaryIO, _CountedFile(file, budget))
    with tarfile.open(fileobj=counted, mode="r|", bufsize=CHUNK_BYTES, tarinfo=_GuardedTarInfo) as archive:
        while (member := archive.next()) is not None:
            vars(archive)["members"].clear()  # which tarfile would keep all
            budget.member()
            if member.isdir():
                continue
            if member.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or member.issparse():
                raise HostileArchiveError(f"member {member.name[:120]!a} is neither a file nor a folder")
            path = budget.file(member.name)
            content = archive.extractfile(member)
            if content is None:
                raise HostileArchiveError(f"member {path[:120]!r} has no content")
            yield Unpacked(path, member.size, _chunks(cast(BinaryIO, content), member.size, path))


def _chunks(content: object, size: int, path: str) -> Iterator[bytes]:
    """The bytes of a member, exactly as many as its header says."""
    source, seen = cast(BinaryIO, content), 0
    with _explained():
        while chunk := source.read(CHUNK_BYTES):
            seen += len(chunk)
            if seen > size:
                break
            yield chunk
    if seen != size:
        raise HostileArchiveError(f"member {path[:120]!r} has not the {size} bytes its header says")
