"""What files consist of, measured as their bytes pass by, and what the stations have to offer."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from refsys.infra.errors import UserError

BLOCK_BYTES = 1 << 20
# Names of the PRIP and of hashlib.
ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}


@dataclass(frozen=True)
class Content:
    """Size in bytes, and checksums by PRIP algorithm name."""

    size: int
    checksums: dict[str, str]


@dataclass(frozen=True)
class AuxiliaryFile:
    """An auxiliary file at a station."""

    name: str
    station: str
    mission: str
    content: Content


@dataclass(frozen=True)
class Block:
    """A block of raw data (DSDB) of a session; `number` counts from 1 in each channel."""

    name: str
    channel: int
    number: int
    content: Content


Packet = tuple[int, int, int, int]
"""Channel, virtual channel and application process of a space packet, and the CRC-32 of its octets."""


@dataclass(frozen=True)
class Session:
    """A downlink session at a station: its blocks, and the names of its information blocks (DSIB) by channel.

    `packets` are those that its satellite sent and that can be received.
    """

    id: str
    satellite: str
    station: str
    blocks: list[Block]
    information: dict[int, str]
    packets: Counter[Packet] = field(default_factory=Counter)

    def of_channel(self, channel: int) -> list[Block]:
        """The blocks of a channel in their order."""
        return sorted((block for block in self.blocks if block.channel == channel), key=lambda block: block.number)


def measured(chunks: Iterable[bytes]) -> Content:
    """What some bytes are; they are not kept."""
    digests = {name: hashlib.new(kind, usedforsecurity=False) for name, kind in ALGORITHMS.items()}
    size = 0
    for chunk in chunks:
        size += len(chunk)
        for digest in digests.values():
            digest.update(chunk)
    return Content(size, {name: digest.hexdigest() for name, digest in digests.items()})


def content_of(path: Path) -> Content:
    """What a file is."""
    return measured(_chunks(path))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(BLOCK_BYTES):
            yield chunk


def same(what: str, arrived: object, at_station: object, *announced: object) -> None:
    """Make sure that something arrived as it was at the station, and as the services announce it."""
    if any(other != arrived for other in (at_station, *announced)):
        told = "".join(f"{each} announced, " for each in announced)
        raise UserError(
            f"{what} differs: {at_station} at the station, {told}{arrived} arrived",
            fix="the file was published before with other content, or is damaged: see its timeline and the "
            "table ingestion.quarantine",
        )
