"""Finding the metadata document inside a stored product, by ranged reads where the format allows it."""

import tarfile
import zipfile
import zlib
from typing import BinaryIO

from lxml import etree

from refsys.services.catalogue.xml import UnreadableError, read_document

# In the order of preference, by the end of a member's name.
DOCUMENTS = ("Inventory_Metadata.xml", "manifest.safe", "xfdumanifest.xml", ".HDR", ".EOF", ".xml")
DECISIVE = ("Inventory_Metadata.xml", ".HDR")  # beside these there is nothing better
DEPTH_LIMIT = 3  # `X.SAFE/manifest.safe` is at 2
TAR_LIMIT_BYTES = 64 * 2**30  # unpacked, read through to find the document
MEMBERS_LIMIT = 100_000


def metadata_document(name: str, file: BinaryIO) -> etree._Element:
    """The metadata document of a product; raises `UnreadableError` if there is none or it is broken."""
    lower = name.lower()
    try:
        if lower.endswith(".zip"):
            return _in_zip(file)
        if lower.endswith((".tgz", ".tar")):
            return _in_tar(file)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError) as error:
        raise UnreadableError(f"archive is broken: {error}") from None
    if lower.endswith((".dbl", ".safe", ".sen3", ".isip")):
        raise UnreadableError("file has no metadata in it: a bare data block or an unpacked directory")
    return read_document(file)


def _rank(member: str) -> int | None:
    """How good a member is as metadata document, 0 the best; None if it is none."""
    path = member.removeprefix("./")
    if path.count("/") >= DEPTH_LIMIT - 1 and not path.endswith(DOCUMENTS[:3]):
        return None
    return next((rank for rank, end in enumerate(DOCUMENTS) if path.endswith(end)), None)


def _in_zip(file: BinaryIO) -> etree._Element:
    with zipfile.ZipFile(file) as archive:
        ranked = sorted(
            (rank, member.filename)
            for member in archive.infolist()[:MEMBERS_LIMIT]
            if not member.is_dir() and (rank := _rank(member.filename)) is not None
        )
        if not ranked:
            raise UnreadableError(f"archive has no metadata document ({', '.join(DOCUMENTS)})")
        try:
            with archive.open(ranked[0][1]) as member:
                return read_document(member)
        except RuntimeError as error:  # encrypted
            raise UnreadableError(f"archive member {ranked[0][1][:120]!r}: {error}") from None


def _in_tar(file: BinaryIO) -> etree._Element:
    """Read through the archive, since a better document may come later; a decisive one ends the search."""
    best: tuple[int, etree._Element] | None = None
    seen = 0
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for count, member in enumerate(archive):
            seen += member.size
            if seen > TAR_LIMIT_BYTES or count > MEMBERS_LIMIT:
                raise UnreadableError("archive is too large to be searched for metadata")
            rank = _rank(member.name)
            if rank is None or not member.isfile() or (best and best[0] <= rank):
                continue
            source = archive.extractfile(member)
            if source is None:
                continue
            best = (rank, read_document(source))
            if DOCUMENTS[rank] in DECISIVE:
                break
    if best is None:
        raise UnreadableError(f"archive has no metadata document ({', '.join(DOCUMENTS)})")
    return best[1]
