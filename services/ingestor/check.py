"""What a complete upload must be: the announced bytes, and a file that the catalogue will be able to read."""

import hashlib
from datetime import datetime
from io import BufferedReader

from lxml import etree
from shapely.errors import ShapelyError

from refsys.services.catalogue.archive import files_in
from refsys.services.catalogue.documents import metadata_documents
from refsys.services.catalogue.metadata import Metadata, read_metadata
from refsys.services.catalogue.xml import UnreadableError
from refsys.services.common.digests import ALGORITHMS
from refsys.services.common.names import ProductName
from refsys.services.compression.unpack import HostileArchiveError, unpack
from refsys.services.ingestor.rules import ARCHIVES

CHUNK_BYTES = 2**20


class RefusedError(Exception):
    """A file that is not taken; the message says why."""


def check(name: ProductName, file: BufferedReader, size: int, algorithm: str, checksum: str) -> None:
    """Check the checksum and the format of a file, from its start.

    Raises:
        RefusedError: the file is not what was announced, is hostile, or cannot be catalogued.
    """
    real = hashlib.file_digest(file, lambda: hashlib.new(ALGORITHMS[algorithm], usedforsecurity=False)).hexdigest()
    if real != checksum:
        raise RefusedError(f"{algorithm} of the received bytes is {real}, announced was {checksum}; upload it again")
    try:
        if name.name.lower().endswith(ARCHIVES):
            file.seek(0)
            for member in unpack(name.name, file, size):
                for _ in member.chunks:
                    pass  # each byte is unpacked once, to know that it can be
        else:
            _well_formed(file)
        file.seek(0)
        metadata = read_metadata(name, metadata_documents(files_in(name.name, file)))
    except (HostileArchiveError, UnreadableError) as error:
        raise RefusedError(str(error)) from error
    except (ArithmeticError, LookupError, ValueError, RecursionError, ShapelyError) as error:
        raise RefusedError(f"metadata can't be understood: {type(error).__name__}: {error}") from error
    if name.fields.get("extension") == "EOF":
        _same_as_name(name, metadata)


class _NoDocumentType:
    """A target that keeps nothing of a document, however long it is, and refuses document types."""

    def start(self, tag: str | bytes, attrib: dict[str | bytes, str | bytes]) -> None:
        """Forget an element."""

    def end(self, tag: str | bytes) -> None:
        """Forget its end."""

    def data(self, data: str | bytes) -> None:
        """Forget text."""

    def comment(self, text: str | bytes) -> None:
        """Forget a comment."""

    def doctype(self, *_: object) -> None:
        """Refuse."""
        raise UnreadableError("XML has a document type, which is not accepted")

    def close(self) -> None:
        """Nothing was kept."""


def _well_formed(file: BufferedReader) -> None:
    """Read a whole XML document, of which the catalogue may read only the header."""
    parser = etree.XMLParser(target=_NoDocumentType(), resolve_entities=False, no_network=True, huge_tree=False)
    file.seek(0)
    try:
        while chunk := file.read(CHUNK_BYTES):
            parser.feed(chunk)
        parser.close()
    except etree.XMLSyntaxError as error:
        raise UnreadableError(f"XML is malformed: {error.msg}") from None


def _same_as_name(name: ProductName, metadata: Metadata) -> None:
    """Compare the header of an Earth Explorer file with what its name tells."""
    kind = next((each.value for each in metadata.attributes if each.name == "productType"), None)
    if kind != name.product_type:
        raise RefusedError(f"header has File_Type {kind}, the file name {name.product_type}")
    _same_time("Validity_Start", metadata.start, name.start)
    _same_time("Validity_Stop", metadata.end, name.stop)


def _same_time(what: str, header: datetime, named: datetime | None) -> None:
    if named is not None and header.replace(microsecond=0) != named:
        raise RefusedError(f"header has {what} {header:%Y-%m-%dT%H:%M:%S}, the file name {named:%Y-%m-%dT%H:%M:%S}")
