"""Looking into a packed product: only the wanted members are unpacked, everything is bounded.

Zip and uncompressed tar files are read by ranges, compressed tar files from their start. Whatever a file says of
itself, no more than `HEADERS_BYTES` of structure is held in memory.
"""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from refsys.services.catalogue.files import MEMBERS_LIMIT, Document, File, ProductFiles, Rank, checked
from refsys.services.catalogue.xml import LIMIT_BYTES, UnreadableError

HEADERS_BYTES = 8 * 2**20  # a zip directory, or what lies before one member of a tar file
SUFFIXES = (".zip", ".tgz", ".tar", ".tar.gz")
TAR_LIMIT_BYTES = 64 * 2**30  # unpacked, read through to find the members
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error, OSError, EOFError, NotImplementedError),
    UnicodeDecodeError,  # zipfile reads a member's name when it opens it
)


class Archive:
    """The files of a zip or tar file; raises `UnreadableError` for one that is broken or hostile."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        """Nothing is read yet."""
        self._name = name
        self._file = file

    def wanted(self, rank: Rank) -> Iterator[File]:
        """The wanted files: of a zip file the best first, of a tar file as they come."""
        with explained():
            yield from _in_zip(self._file, rank) if self._name.lower().endswith(".zip") else _in_tar(self._file, rank)


def files_in(name: str, file: BinaryIO) -> ProductFiles:
    """The files of a product that is one object."""
    return (Archive if name.lower().endswith(SUFFIXES) else Document)(name, file)


@contextmanager
def explained() -> Iterator[None]:
    """Raise what broken archives cause, while they are opened or a file of theirs is read, as `UnreadableError`."""
    try:
        yield
    except FileNotFoundError:  # the object went away while it was read
        raise
    except _BROKEN as error:
        raise UnreadableError(f"archive is broken: {error}") from None


def _in_zip(file: BinaryIO, rank: Rank) -> Iterator[File]:
    metered = _Metered(file)
    with zipfile.ZipFile(metered) as archive:
        members = archive.infolist()
        if len(members) > MEMBERS_LIMIT:
            raise UnreadableError(f"archive has over {MEMBERS_LIMIT} members")
        # The structure is read; what follows is bounded by whoever reads a file.
        ranked = sorted(
            (found, index)
            for index, member in enumerate(members)
            if (found := rank(checked(member.filename))) is not None and not member.is_dir()
        )
        for found, index in ranked:
            member = members[index]
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UnreadableError(f"archive member {member.filename[:120]!a} is packed by no known method")
            try:
                with archive.open(member) as source:
                    yield File(found, checked(member.filename), member.file_size, source)
                metered.renew()
            except RuntimeError as error:  # encrypted
                raise UnreadableError(f"archive member {member.filename[:120]!a}: {error}") from None


def _in_tar(file: BinaryIO, rank: Rank) -> Iterator[File]:
    file.seek(0)
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    source = _Metered(cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file, total=TAR_LIMIT_BYTES)
    with tarfile.open(fileobj=source, mode="r:") as archive:
        count = 0
        while (member := archive.next()) is not None:
            count += 1
            if count > MEMBERS_LIMIT:
                raise UnreadableError(f"archive has over {MEMBERS_LIMIT} members")
            archive.members.clear()  # type: ignore[attr-defined]  # it would remember them all
            found = rank(checked(member.name))
            if found is not None and member.isreg() and not member.issparse():
                content = archive.extractfile(member)
                if content is not None:
                    yield File(found, checked(member.name), member.size, content)
            source.renew()
    if count == 0:
        raise UnreadableError("archive is empty")


class _Metered(io.RawIOBase):
    """A seekable file of which only so much may be read until `renew`, and which ends at `total` bytes."""

    def __init__(self, file: BinaryIO, total: int | None = None) -> None:
        self._file = file
        self._total = total
        self.renew()

    def renew(self) -> None:
        self._left = HEADERS_BYTES + LIMIT_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or size > self._left:
            size = self._left + 1
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise UnreadableError("archive's structure is too large: it has no end, or far too many members")
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_END:
            offset += self._file.seek(0, io.SEEK_END)
        elif whence == io.SEEK_CUR:
            offset += self._file.tell()
        if offset < 0:
            raise OSError("seek before the start")
        if self._total is not None and offset > self._total:
            raise UnreadableError("archive is too large to be searched for metadata")
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()
