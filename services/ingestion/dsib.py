"""The DSIB of a channel: the block that tells of a session's data; read, and made where the station delivers none.

Written from reference-system.md §4.3: `DCSU_Session_Information_Block` with the session's times, the size of the
channel's data in bytes and the names of its DSDBs in their order. The same channel gives the same bytes.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from lxml import etree

from refsys.services.catalogue.xml import Readable, read_document, texts

_DSDB = re.compile(r"(?P<head>DCS_\d{2}_[A-Za-z0-9_]+_ch\d{1,2})_DSDB_\d{5,6}\.(?:raw|RAW|aisp|AISP)", re.ASCII)


class Block(NamedTuple):
    """A DSDB: its name, its size in bytes, when the station published it."""

    name: str
    size: int
    published: datetime


def dsib_name(dsdb: str) -> str | None:
    """The name of the DSIB beside a DSDB; None for a name that is none of a DSDB."""
    found = _DSDB.fullmatch(dsdb)
    return f"{found['head']}_DSIB.xml" if found else None


def is_dsib(name: str) -> bool:
    """Whether a file is a DSIB, by its name."""
    return "_DSIB." in name


def dsib_text(session_id: str, blocks: list[Block], start: datetime | None, stop: datetime | None) -> str:
    """The document. `start` and `stop` of the downlink; where the station doesn't tell them, those of publication."""
    first, last = min(block.published for block in blocks), max(block.published for block in blocks)
    root = etree.Element("DCSU_Session_Information_Block")
    for name, value in (
        ("session_id", session_id),
        ("time_start", _time(start or first)),
        ("time_stop", _time(stop or last)),
        ("time_created", _time(first)),
        ("time_finished", _time(last)),
        ("data_size", str(sum(block.size for block in blocks))),
    ):
        etree.SubElement(root, name).text = value
    names = etree.SubElement(root, "dsdb_list")
    for block in sorted(blocks):
        etree.SubElement(names, "dsdb_name").text = block.name
    document: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return document.decode()


def listed_blocks(document: Readable) -> list[str]:
    """The names of the DSDBs that a station's DSIB lists, in their order.

    Raises:
        UnreadableError: it is no XML, or too large.
    """
    return texts(read_document(document), "dsdb_name")


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
