"""Finding the metadata documents inside a stored product: only they are unpacked, everything is bounded.

Zip and uncompressed tar files are read by ranges, compressed tar files from their start. Whatever a file says of
itself, no more than `HEADERS_BYTES` of structure and `xml.LIMIT_BYTES` of a document are held in memory.
"""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from lxml import etree

from refsys.services.catalogue.xml import LIMIT_BYTES, Readable, UnreadableError, local, read_document

# In the order of preference, by the end of a member's name.
DOCUMENTS = (
    "Inventory_Metadata.xml",
    "MTD_MSIL1C.xml",
    "MTD_MSIL2A.xml",
    "manifest.safe",
    "xfdumanifest.xml",
    ".HDR",
    "_iif.xml",
    ".EOF",
    ".xml",
)
BY_NAME = DOCUMENTS[:7]  # metadata wherever they lie; other XML only at the top
DECISIVE = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml", "xfdumanifest.xml", ".HDR")  # beside these there is nothing better
DEPTH_LIMIT = 3  # `X.SAFE/manifest.safe` is at 2
MEMBERS_LIMIT = 50_000
DOCUMENTS_LIMIT = 8
HEADERS_BYTES = 8 * 2**20  # a zip directory, or what lies before one member of a tar file
TAR_LIMIT_BYTES = 64 * 2**30  # unpacked, read through to find the documents
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error, OSError, EOFError, NotImplementedError)


def metadata_documents(name: str, file: BinaryIO) -> list[etree._Element]:
    """The metadata documents of a product, best first; raises `UnreadableError` if there is none or it is broken."""
    lower = name.lower()
    try:
        if lower.endswith(".zip"):
            return _best(_in_zip(file))
        if lower.endswith((".tgz", ".tar", ".tar.gz")):
            return _best(_in_tar(file))
    except FileNotFoundError:  # the object went away while it was read
        raise
    except _BROKEN as error:
        raise UnreadableError(f"archive is broken: {error}") from None
    if lower.endswith((".eof", ".xml", ".hdr")):
        return [read_document(file)]
    raise UnreadableError("file has no metadata in it: a bare data block, or a directory that is not packed")


def _best(found: Iterator[tuple[int, etree._Element | UnreadableError]]) -> list[etree._Element]:
    """All documents by rank, read until there is all that is needed; one that only adds to others may be unreadable."""
    ranked: list[tuple[int, etree._Element]] = []
    problem: UnreadableError | None = None
    for rank, document in found:
        if isinstance(document, UnreadableError):
            problem = document
            if rank < len(DOCUMENTS) - 1:
                raise problem
            continue
        ranked.append((rank, document))
        if DOCUMENTS[rank] in DECISIVE or len(ranked) >= DOCUMENTS_LIMIT:
            break
        kinds = {local(root) for _, root in ranked}
        if "Inventory_Metadata" in kinds and any(kind.startswith("Level-") for kind in kinds):
            break
    if not ranked:
        raise problem or UnreadableError(f"archive has no metadata document ({', '.join(DOCUMENTS)})")
    return [root for _, root in sorted(ranked, key=lambda each: each[0])]


def _document(source: Readable) -> etree._Element | UnreadableError:
    try:
        return read_document(source)
    except UnreadableError as error:
        return error


def _rank(member: str) -> int | None:
    """How good a member is as metadata document, 0 the best; None if it is none. Refuses what leaves the archive."""
    if member.startswith("/") or "\\" in member or ".." in member.split("/") or "\x00" in member:
        raise UnreadableError(f"archive has a member with a path that leads out of it: {member[:120]!a}")
    path = member.removeprefix("./")
    rank = next((rank for rank, end in enumerate(DOCUMENTS) if path.endswith(end)), None)
    if rank is not None and path.count("/") >= (DEPTH_LIMIT - 1 if DOCUMENTS[rank] not in BY_NAME else DEPTH_LIMIT):
        return None
    return rank


def _in_zip(file: BinaryIO) -> Iterator[tuple[int, etree._Element | UnreadableError]]:
    with zipfile.ZipFile(_Metered(file)) as archive:
        members = archive.infolist()
        if len(members) > MEMBERS_LIMIT:
            raise UnreadableError(f"archive has over {MEMBERS_LIMIT} members")
        # The structure is read; what follows is bounded by the document's own limit.
        ranked = sorted(
            (rank, index)
            for index, member in enumerate(members)
            if (rank := _rank(member.filename)) is not None and not member.is_dir()
        )
        for rank, index in ranked:
            member = members[index]
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UnreadableError(f"archive member {member.filename[:120]!a} is packed by no known method")
            try:
                with archive.open(member) as source:
                    yield rank, _document(source)
            except RuntimeError as error:  # encrypted
                raise UnreadableError(f"archive member {member.filename[:120]!a}: {error}") from None


def _in_tar(file: BinaryIO) -> Iterator[tuple[int, etree._Element | UnreadableError]]:
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
            rank = _rank(member.name)
            if rank is not None and member.isreg() and not member.issparse():
                content = archive.extractfile(member)
                if content is not None:
                    yield rank, _document(content)
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
