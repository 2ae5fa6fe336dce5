"""A downlink session as it lies in folders: the blocks (DSDB) of each channel in their order, and its DSIB.

A channel's blocks are one stream of octets; a block that its DSIB lists and that isn't there interrupts it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from refsys.services.catalogue.xml import UnreadableError, moment, read_document, text, texts
from refsys.services.processors.errors import ProcessorError

_FILE = re.compile(
    r"DCS_\d{2}_(?P<session>[A-Za-z0-9_]{1,80})_ch(?P<channel>[12])_(?:DSDB_(?P<number>\d{5,6})\.(?:raw|aisp)|DSIB\.xml)",
    re.ASCII | re.IGNORECASE,
)
_NAMED = re.compile(r"(?P<satellite>S[123][A-D])_\d{14}(?P<orbit>\d{6})", re.ASCII)


@dataclass(frozen=True)
class Block:
    """A file of a channel: where it is, and its octets."""

    path: Path
    number: int
    size: int


@dataclass
class ChannelFiles:
    """The files of a channel; `missing` are blocks that should be there, `problems` what its DSIB says otherwise."""

    number: int
    blocks: list[Block] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    start: datetime | None = None
    stop: datetime | None = None

    @property
    def size(self) -> int:
        """Octets of all blocks."""
        return sum(block.size for block in self.blocks)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill the buffer with the stream from an octet on; return how much there was."""
        filled = 0
        for block in self.blocks:
            if offset >= block.size:
                offset -= block.size
                continue
            with block.path.open("rb", buffering=0) as file:
                file.seek(offset)
                want = min(block.size - offset, len(buffer) - filled)
                while want and (got := file.readinto(buffer[filled : filled + want])):
                    filled, want = filled + got, want - got
            if want:
                raise ProcessorError(f"{block.path} became shorter while it was read", fix="keep inputs unchanged")
            if filled == len(buffer):
                break
            offset = 0
        return filled


@dataclass(frozen=True)
class Session:
    """A session: its id, and its channels by number; satellite and orbit where the id tells them."""

    id: str
    channels: dict[int, ChannelFiles]

    @property
    def satellite(self) -> str:
        """Of a session of the satellite itself, `S1A`; empty otherwise (relayed by EDRS)."""
        found = _NAMED.fullmatch(self.id)
        return found["satellite"] if found else ""

    @property
    def orbit(self) -> int:
        """The orbit of the downlink; 0 where it isn't told."""
        found = _NAMED.fullmatch(self.id)
        return int(found["orbit"]) if found else 0


def _files(inputs: Iterable[Path]) -> Iterator[Path]:
    for given in inputs:
        if given.is_dir():
            yield from (path for path in sorted(given.rglob("DCS_*")) if path.is_file())
        elif given.is_file():
            yield given
        else:
            raise ProcessorError(f"{given} is not there", fix="name folders or files of a session")


def read_session(inputs: Iterable[Path]) -> Session:
    """The session of folders and files; all must belong to one."""
    sessions: set[str] = set()
    blocks: dict[int, dict[str, Block]] = defaultdict(dict)
    information: dict[int, Path] = {}
    for path in _files(inputs):
        found = _FILE.fullmatch(path.name)
        if not found:
            continue
        sessions.add(found["session"])
        channel = int(found["channel"])
        if found["number"]:
            blocks[channel][path.name] = Block(path, int(found["number"]), path.stat().st_size)
        else:
            information[channel] = path
    if len(sessions) != 1:
        named = ", ".join(sorted(sessions)) or "none"
        raise ProcessorError(
            f"the inputs hold files of not one session, but {named}", fix="give one session's channels"
        )
    if not blocks:
        raise ProcessorError("the inputs hold no blocks (DCS_…_DSDB_…)", fix="give the folders of the channels")
    channels = {number: _channel(number, found, information.get(number)) for number, found in sorted(blocks.items())}
    return Session(sessions.pop(), channels)


def _channel(number: int, blocks: dict[str, Block], information: Path | None) -> ChannelFiles:
    channel = ChannelFiles(number, sorted(blocks.values(), key=lambda block: block.number))
    numbers = [block.number for block in channel.blocks]
    if len(set(numbers)) < len(numbers):
        raise ProcessorError(f"channel {number} has blocks of the same number", fix="give each block once")
    if information is None:
        channel.problems.append("no DSIB")
        expected = set(range(numbers[0], numbers[-1] + 1))
        channel.missing = [f"DSDB {each}" for each in sorted(expected - set(numbers))]
        return channel
    try:
        with information.open("rb") as file:
            document = read_document(file)
        listed, size = texts(document, "dsdb_name"), text(document, "data_size")
        channel.start = moment(text(document, "time_start"), "time_start")
        channel.stop = moment(text(document, "time_stop"), "time_stop")
    except UnreadableError as error:
        channel.problems.append(f"DSIB: {error}")
        return channel
    channel.missing = [name for name in listed if name not in blocks]
    channel.problems += [f"{name} is not in the DSIB" for name in blocks if name not in listed]
    if size != str(channel.size):
        channel.problems.append(f"DSIB says {(size or 'no')[:20]} octets, there are {channel.size}")
    return channel
