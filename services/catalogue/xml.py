"""Reading XML that somebody else wrote: no document types, no entities, no network, bounded in size."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

from lxml import etree

LIMIT_BYTES = 8 * 2**20  # of text; the tree in memory takes a multiple of it
ELEMENTS_LIMIT = 200_000
OPEN_END = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
OPEN_START = datetime(1, 1, 1, tzinfo=UTC)
_FORMATS = ("%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S", "%Y%m%dT%H%M%S", "%Y-%m-%dT%H:%M:%S.%f%z")


class UnreadableError(Exception):
    """The metadata of a product can't be read; the message says what is wrong."""


class Readable(Protocol):
    """What is read from: `read(n)` returns at most `n` bytes, none at the end."""

    def read(self, size: int = -1, /) -> bytes:
        """Read."""
        ...


class Bounded:
    """A readable that refuses to give more than a limit, in bytes."""

    def __init__(self, source: Readable, limit: int = LIMIT_BYTES) -> None:
        """Read from `source`, at most `limit` bytes."""
        self._source = source
        self._limit = limit
        self._left = limit

    def read(self, size: int = -1, /) -> bytes:
        """Read; raises `UnreadableError` beyond the limit."""
        data = self._source.read(size if 0 <= size <= self._left else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise UnreadableError(f"metadata has over {self._limit} bytes")
        return data


def read_document(source: Readable, until: str = "Earth_Explorer_Header") -> etree._Element:
    """The root element; or the element named `until` as soon as it is complete, however long the rest is."""
    bounded = Bounded(source)
    parser = etree.XMLPullParser(
        events=("start", "end"),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    first, count = True, 0
    try:
        while data := bounded.read(16 * 1024):
            parser.feed(data)
            for event, element in parser.read_events():
                if not isinstance(element, etree._Element):
                    continue
                count += event == "start"
                if count > ELEMENTS_LIMIT:
                    raise UnreadableError(f"metadata has over {ELEMENTS_LIMIT} elements")
                if first and etree.ElementTree(element).docinfo.internalDTD is not None:
                    raise UnreadableError("XML has a document type, which is not accepted")
                first = False
                if event == "end" and local(element) == until:
                    return element
        return parser.close()
    except etree.XMLSyntaxError as error:
        raise UnreadableError(f"XML is malformed: {error.msg}") from None


def local(element: etree._Element) -> str:
    """The name of an element without its namespace."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def elements(root: etree._Element, name: str) -> Iterator[etree._Element]:
    """All elements of a name, in whatever namespace, at any depth."""
    return root.iter(f"{{*}}{name}")


def child(root: etree._Element | None, *path: str) -> etree._Element | None:
    """The first element along a path of names below an element, in whatever namespace; None if there is none."""
    for name in path:
        root = root.find(f"{{*}}{name}") if root is not None else None
    return root


def texts(root: etree._Element, name: str) -> list[str]:
    """The texts of all elements of a name that have some, each once, in document order."""
    return list(dict.fromkeys(content for each in elements(root, name) if (content := (each.text or "").strip())))


def text(root: etree._Element, name: str) -> str | None:
    """The text of the first element of a name that has some."""
    for element in elements(root, name):
        content = (element.text or "").strip()
        if content:
            return content
    return None


def attribute(root: etree._Element, name: str, key: str) -> str | None:
    """An attribute of the first element of a name that has it."""
    for element in elements(root, name):
        value = element.get(key)
        if value:
            return value.strip()
    return None


def moment(value: str | None, what: str) -> datetime:
    """A time of the products' notations, as aware UTC; open ends (`9999-99-99…`, `0000-…`) have fixed values."""
    if not value:
        raise UnreadableError(f"{what} is missing")
    plain = value.removeprefix("UTC=").removesuffix("Z")
    if plain.startswith("9999"):
        return OPEN_END
    if plain.startswith("0000"):
        return OPEN_START
    for form in _FORMATS:
        try:
            parsed = datetime.strptime(plain, form)  # all times of products are UTC
        except ValueError:
            continue
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    raise UnreadableError(f"{what} is not a time: {value[:40]!r}")
