"""Reading a WebDAV multistatus document (RFC 4918 §14.16) as it arrives, in bounded memory.

The parser holds no tree. Document types are refused, and so are entities with them; the sizes of texts and tags,
the nesting and the number of different names are limited.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from refsys.services.ingestion.errors import StationError

PENDING_BYTES = 2**20  # of a tag or declaration that does not end
TEXT_LIMIT = 8192  # characters of one value
DEPTH_LIMIT = 64
NAMES_LIMIT = 2048  # different names of elements and attributes
DOCUMENT_BYTES = 2**30
_FEED_BYTES = 64 * 1024
_DAV = "DAV:}"


@dataclass
class Response:
    """One resource: `href` as written; `values` are the texts of the properties that it has, by their DAV names."""

    href: str = ""
    status: str = ""
    collection: bool = False
    values: dict[str, str] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The HTTP code of the resource itself; 200 where none is given."""
        return _code(self.status) if self.status else 200


_PROPERTIES = {"getcontentlength", "getlastmodified"}


def responses(chunks: Iterable[bytes], station: str) -> Iterator[Response]:
    """The responses of a document, each as soon as it is complete; `StationError` if it can't be read."""
    reader = _Reader()
    total = 0
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), _FEED_BYTES):
                piece = chunk[start : start + _FEED_BYTES]
                total += len(piece)
                reader.feed(piece)
                if total > DOCUMENT_BYTES:
                    raise _RefusedError(f"listing has over {DOCUMENT_BYTES} bytes")
                yield from reader.taken()
        reader.finish()
        yield from reader.taken()
    except (expat.ExpatError, _RefusedError) as error:
        raise StationError(f"station {station}: listing is no usable multistatus document: {error}") from None


class _RefusedError(Exception):
    """The document is not taken."""


class _Reader:
    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator="}")
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._names: set[str] = set()
        self._path: list[str] = []
        self._text: str | None = None
        self._response: Response | None = None
        self._found: dict[str, str] = {}  # of the current propstat
        self._collection = False
        self._status = ""
        self._done: list[Response] = []
        self._fed = 0

    def feed(self, data: bytes) -> None:
        self._parser.Parse(data, False)
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > PENDING_BYTES:
            raise _RefusedError(f"a tag has over {PENDING_BYTES} bytes")

    def finish(self) -> None:
        self._parser.Parse(b"", True)

    def taken(self) -> Iterator[Response]:
        done, self._done = self._done, []
        yield from done

    def _begin(self, name: str, attributes: list[str]) -> None:
        if not self._path and name != "DAV:}multistatus":
            raise _RefusedError("the root element is not DAV: multistatus")
        self._names.add(name)
        self._names.update(attributes[::2])
        if len(self._names) > NAMES_LIMIT:
            raise _RefusedError(f"over {NAMES_LIMIT} different names")
        if len(self._path) >= DEPTH_LIMIT:
            raise _RefusedError(f"nested deeper than {DEPTH_LIMIT}")
        own = name.removeprefix(_DAV) if name.startswith(_DAV) else ""
        self._path.append(own)
        self._text = "" if own in _PROPERTIES or own in ("href", "status") else None
        match self._path[1:]:
            case ["response"]:
                self._response = Response()
            case ["response", "propstat"]:
                self._found, self._collection, self._status = {}, False, ""
            case ["response", "propstat", "prop", "resourcetype", "collection"]:
                self._collection = True

    def _end(self, _name: str) -> None:
        text, self._text = (self._text or "").strip(), None
        response, path = self._response, self._path[1:]
        self._path.pop()
        if response is None:
            return
        match path:
            case ["response", "href"]:
                response.href = text
            case ["response", "status"]:
                response.status = text
            case ["response", "propstat", "status"]:
                self._status = text
            case ["response", "propstat", "prop", name] if name in _PROPERTIES:
                self._found[name] = text
            case ["response", "propstat"] if _code(self._status) == 200:
                response.values |= self._found
                response.collection = response.collection or self._collection
            case ["response"]:
                self._done.append(response)
                self._response = None

    def _characters(self, data: str) -> None:
        if self._text is None:
            return
        self._text += data
        if len(self._text) > TEXT_LIMIT:
            raise _RefusedError(f"a value has over {TEXT_LIMIT} characters")

    def _refuse(self, *_: object) -> None:
        raise _RefusedError("it has a document type, which is not accepted")


def _code(status: str) -> int:
    """The code of a status line; 0 where there is none."""
    parts = status.split(maxsplit=2)
    return int(parts[1]) if len(parts) > 1 and parts[1].isascii() and parts[1].isdigit() and len(parts[1]) == 3 else 0
