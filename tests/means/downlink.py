"""Downlink sessions of Sentinel-1, -2 and -3 as a station delivers them, made up; the same seed, the same bytes.

python -m tests.means.downlink FOLDER --satellite S1A --size BYTES [--seed 1] [--faults]

Channels are streams of CADUs: randomised, Reed-Solomon coded AOS transfer frames of several virtual channels with the
packets of a table of missions. Faults lie at least 8 frames apart and never in the last frames of a file, so that it is
known which frames can't be received. `truth_chN.npy` beside the channel's folder has a record of each packet.
"""

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from refsys.services.ingestion.dsib import Block, dsib_text
from refsys.services.processors.level0 import reed_solomon
from refsys.services.processors.level0.framing import MARKER, Framing, error_control, pseudo_noise
from refsys.services.processors.level0.missions import Content, Mission, gps_seconds, missions
from refsys.services.processors.level0.reed_solomon import Bytes, Ints

START = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
FRAMES = 1024  # made together
FAULT_STEP = 8
TRUTH = np.dtype(
    [
        ("virtual", "u1"),
        ("process", "u2"),
        ("datatake", "u4"),
        ("sequence", "u2"),
        ("length", "u4"),
        ("crc", "u4"),
        ("first", "i8"),
        ("last", "i8"),
        ("sensing", "i8"),
        ("received", "?"),
    ]
)
_LENGTHS = {"S1": (4000, 18000), "S2": (1500, 4000), "S3": (300, 2500), "hktm": (20, 900)}
_SHARES = {"hktm": 0.03}  # of the frames; the others share the rest
_IDLE_SHARE = 0.02
_SYNC_WORD = bytes.fromhex("352ef853")  # in Sentinel-1's secondary header


@dataclass(frozen=True)
class Faults:
    """How often a frame is at fault, by kind; `truncated` is the share of blocks that lose their end."""

    gap: float = 0
    repeat: float = 0
    errors: float = 0
    uncorrectable: float = 0
    marker: float = 0
    junk: float = 0
    slip: float = 0
    truncated: float = 0


SOME = Faults(0.01, 0.01, 0.02, 0.01, 0.01, 0.002, 0.002, 0.3)


class _Source:
    """The packets of one kind, as the packet zones of a virtual channel."""

    def __init__(  # noqa: PLR0917  # all of a source
        self,
        mission: str,
        table: Mission,
        content: Content,
        rng: np.random.Generator,
        framing: Framing,
        start: datetime = START,
    ) -> None:
        self.content, self.virtual = content, content.channels[0]
        self._table, self._rng, self._zone, self._start = table, rng, framing.zone_bytes, start
        self._limits = _LENGTHS.get(content.label, _LENGTHS[mission])
        self._sequences: dict[int, int] = {}
        self._rest, self._starts = b"", [0]  # octets that no frame has yet, and where packets begin in them
        self._number = 0
        self.count = self._first = 2**24 - 700  # it wraps soon
        self._octets = 0
        self.truth: list[tuple[int, ...]] = []

    def zones(self, frames: int, datatake: int, *, last: bool) -> tuple[Bytes, Ints]:
        """Packet zones, and first header pointers; the last zones end with an idle packet."""
        need, parts, size = frames * self._zone, [self._rest], len(self._rest)
        starts = self._starts
        while size < need:
            room = need - size
            packet = self._idle(max(room, 7)) if last and room < self._limits[1] else self._packet(datatake)
            parts.append(packet)
            starts.append(size := size + len(packet))
        octets = b"".join(parts)
        places = np.array(starts[:-1])
        pointers = np.full(frames, 0x7FF)
        inside = places[places < need]
        frame, first = np.unique(inside // self._zone, return_index=True)
        pointers[frame] = inside[first] % self._zone
        self._rest = octets[need:]
        self._starts = [start - need for start in starts if start >= need]
        if self._rest and last:
            self._rest, self._starts = b"", [0]
        self._octets += need
        return np.frombuffer(octets, np.uint8, need).reshape(frames, self._zone), pointers

    def _packet(self, datatake: int) -> bytes:
        rng, code = self._rng, self._table.time
        process = int(rng.integers(self.content.processes[0], self.content.processes[1] + 1))
        sequence = self._sequences.get(process, 16380)
        self._sequences[process] = (sequence + 1) % 16384
        length = int(rng.integers(*self._limits))
        moment = self._start + timedelta(milliseconds=self._number)
        ticks = int(gps_seconds(moment) * 2 ** (8 * code.fine))
        body = bytearray(rng.bytes(length - 6))
        stamp = ticks.to_bytes(code.coarse + code.fine, "big")
        take = 0
        if length >= 74:
            body[code.offset - 6 : code.end - 6] = stamp
            if self.content.datatake:
                take = datatake
                body[code.end - 6 : code.end - 2] = _SYNC_WORD
                body[self.content.datatake - 6 : self.content.datatake - 2] = take.to_bytes(4, "big")
        head = (0x800 | process) if length >= 74 else process
        packet = (
            head.to_bytes(2, "big") + (0xC000 | sequence).to_bytes(2, "big") + (length - 7).to_bytes(2, "big") + body
        )
        start = self._octets + self._starts[-1]
        first, last = (self._first + place // self._zone for place in (start, start + length - 1))
        sensing = round(moment.timestamp() * 1e6) if length >= 74 else -1
        crc = zlib.crc32(packet)
        self.truth.append((self.virtual, process, take, sequence, length, crc, first, last, sensing, 1))
        self._number += 1
        return packet

    def _idle(self, length: int) -> bytes:
        return b"\x07\xff\xc0\x00" + (length - 7).to_bytes(2, "big") + bytes(length - 6)


@dataclass
class Made:
    """A session that was made: its id, the folder with its channels, and their truths."""

    id: str
    folder: Path
    truths: dict[int, np.ndarray[tuple[int], np.dtype[np.void]]] = field(default_factory=dict)
    lost: dict[int, int] = field(default_factory=dict)
    """Frames that can't be received, by channel."""


def generate(
    folder: Path,
    satellite: str,
    size: int,
    *,
    seed: int = 1,
    faults: Faults = Faults(),  # frozen
    framing: Framing = Framing(),  # noqa: B008  # frozen
    block_bytes: int = 2**30,
    session: str = "",
    start: datetime = START,
) -> Made:
    """Write a session with channels of about `size` octets each, in blocks of about `block_bytes`.

    `session` is its id; packets are sensed from `start` on, when it comes down, too.
    """
    made = Made(session or f"{satellite}_{start:%Y%m%d%H%M%S}012345", folder)
    table = missions()[satellite[:2]]
    for channel in (1, 2):
        target = folder / f"ch_{channel}"
        target.mkdir(parents=True)
        rng = np.random.default_rng([seed, channel])
        maker = _Channel(satellite[:2], table, channel, rng=rng, faults=faults, framing=framing, start=start)
        stem = f"DCS_01_{made.id}_ch{channel}"
        blocks = maker.write(target, stem, size, block_bytes)
        stop = start + timedelta(minutes=10)
        (target / f"{stem}_DSIB.xml").write_text(dsib_text(made.id, blocks, start, stop), encoding="utf-8")
        truth, made.lost[channel] = maker.truth(), len(maker.lost)
        np.save(folder / f"truth_ch{channel}.npy", truth)
        made.truths[channel] = truth
    return made


class _Channel:
    """Makes the stream of a channel."""

    def __init__(
        self,
        mission: str,
        table: Mission,
        channel: int,
        *,
        rng: np.random.Generator,
        faults: Faults,
        framing: Framing,
        start: datetime,
    ) -> None:
        self._rng, self._faults, self._framing, self._start = rng, faults, framing, start
        streams = table.streams
        if mission == "S1":  # a polarisation a channel
            streams = tuple(each for each in streams if each.label != ("vh" if channel == 1 else "vv"))
        self._sources = [_Source(mission, table, content, rng, framing, start) for content in streams]
        shares = np.array([_SHARES.get(source.content.label, 0) for source in self._sources])
        others = shares == 0
        shares[others] = (1 - shares.sum() - _IDLE_SHARE) / others.sum()
        self._shares = np.append(shares, _IDLE_SHARE)
        self._idle_count = 0
        self.lost: set[tuple[int, int]] = set()

    def write(self, folder: Path, stem: str, size: int, block_bytes: int) -> list[Block]:
        """Write the files."""
        cadu, held = self._framing.cadu_bytes, b""
        blocks: list[Block] = []
        rounds = max(size // (FRAMES * cadu), 1)
        of_file = max(block_bytes // (FRAMES * cadu), 1)
        for start in range(0, rounds, of_file):
            path = folder / f"{stem}_DSDB_{len(blocks) + 1:05d}.raw"
            until = min(start + of_file, rounds)
            with path.open("wb") as file:
                file.write(held)
                held = b""
                for number in range(start, until):
                    octets, frames = self._round(2 * number < rounds, last=number == rounds - 1)
                    if number == until - 1 and until < rounds:  # the next file begins within a frame
                        octets, held = octets[:-579], octets[-579:]
                    if number == until - 1 and self._rng.random() < self._faults.truncated:
                        cut = int(self._rng.integers(1, 4 * cadu))
                        octets = octets[:-cut]
                        within = -(-(cut + len(held)) // cadu)
                        self.lost.update(frames[len(frames) - within :])
                    file.write(octets)
            blocks.append(Block(path.name, path.stat().st_size, self._start + timedelta(seconds=len(blocks))))
        return blocks

    def truth(self) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        """All packets, and whether all frames of each can be received."""
        records = np.array([row for source in self._sources for row in source.truth], TRUTH)
        for source in self._sources:
            lost = np.array(sorted(count for virtual, count in self.lost if virtual == source.virtual))
            own = records["virtual"] == source.virtual
            before = np.searchsorted(lost, records["first"][own], "left")
            records["received"][own] = before == np.searchsorted(lost, records["last"][own], "right")
            # What the last frame cuts off never left the satellite.
            records["received"][own] &= records["last"][own] < source.count
        return records

    def _round(self, first_half: bool, *, last: bool) -> tuple[bytes, list[tuple[int, int]]]:
        """Octets of some frames, and their virtual channels and counts in the order of transmission."""
        which = self._rng.choice(len(self._shares), FRAMES, p=self._shares)
        frames, keys = self._frames(which, 0x0002A1B7 if first_half else 0x0002A1C9, last=last)
        cadus = np.empty((FRAMES, self._framing.cadu_bytes), np.uint8)
        cadus[:, :4] = np.frombuffer(MARKER.to_bytes(4, "big"), np.uint8)
        reed_solomon.encode(frames, self._framing.depth)
        cadus[:, 4:] = frames ^ pseudo_noise(self._framing.block_bytes)
        return self._faulty(cadus, keys), keys

    def _frames(self, which: Ints, datatake: int, *, last: bool) -> tuple[Bytes, list[tuple[int, int]]]:
        framing = self._framing
        frames = np.zeros((FRAMES, framing.block_bytes), np.uint8)
        counts, virtual, pointers = np.zeros((3, FRAMES), np.int64)
        for index, source in enumerate(self._sources):
            rows = np.flatnonzero(which == index)
            counts[rows], virtual[rows] = source.count + np.arange(len(rows)), source.virtual
            source.count += len(rows)
            if len(rows):
                frames[rows, framing.zone], pointers[rows] = source.zones(len(rows), datatake, last=last)
        idle = np.flatnonzero(which == len(self._sources))
        counts[idle], virtual[idle] = self._idle_count + np.arange(len(idle)), 63
        self._idle_count += len(idle)
        pointers[idle] = 0x7FE
        identifier = 1 << 14 | 0x2A << 6 | virtual
        nothing = np.zeros(FRAMES, np.int64)
        fields = (identifier >> 8, identifier, counts >> 16, counts >> 8, counts, nothing, pointers >> 8, pointers)
        for octet, value in enumerate(fields):
            frames[:, octet] = value & 0xFF
        if framing.fecf:
            found = error_control(frames[:, : framing.frame_bytes - 2])
            frames[:, framing.frame_bytes - 2] = found >> np.uint64(8)
            frames[:, framing.frame_bytes - 1] = found & np.uint64(0xFF)
        return frames, list(zip(virtual.tolist(), counts.tolist(), strict=True))

    def _faulty(self, cadus: Bytes, keys: list[tuple[int, int]]) -> bytes:
        chances = self._faults
        kinds = ("gap", "repeat", "errors", "uncorrectable", "marker", "junk", "slip")
        rates = np.array([getattr(chances, kind) for kind in kinds]) * FAULT_STEP
        clean, out, slips, position = cadus.copy(), [], [], 0
        for at in range(FAULT_STEP, FRAMES - 2 * FAULT_STEP, FAULT_STEP):
            draw = self._rng.random() - np.cumsum(rates)
            if (draw > 0).all():
                continue
            kind = kinds[int(np.argmax(draw <= 0))]
            some = int(self._rng.integers(1, 4))
            if kind == "gap":
                out.append(cadus[position:at].tobytes())
                position = at + some
                self.lost.update(keys[at:position])
            elif kind == "repeat":
                out += [cadus[position:at].tobytes(), clean[at - some : at].tobytes()]
                position = at
            elif kind == "junk":
                out += [cadus[position:at].tobytes(), self._rng.bytes(some * 100 + some)]
                position = at
            elif kind == "slip":
                out.append(cadus[position:at].tobytes())
                slips.append(
                    (sum(map(len, out)) * 8 + int(self._rng.integers(100, 9000)), int(self._rng.integers(-9, 10)))
                )
                self.lost.update(keys[at : at + 1] if slips[-1][1] else [])
                position = at
            else:
                self._damage(cadus[at], kind)
                self.lost.update(keys[at : at + 1] if kind == "uncorrectable" else [])
        out.append(cadus[position:].tobytes())
        octets = b"".join(out)
        for bit, shift in reversed(slips):
            octets = self._slipped(octets, bit, shift)
        return octets

    def _damage(self, cadu: Bytes, kind: str) -> None:
        rng, depth = self._rng, self._framing.depth
        if kind == "marker":
            # Some wrong bits, or all of it.
            cadu[:4] ^= np.frombuffer(bytes.fromhex("01020000" if rng.random() < 0.5 else "ff5a3c0f"), np.uint8)
            return
        for word in range(depth):
            number = int(rng.integers(0, 17)) if kind == "errors" else 60
            places = rng.choice(reed_solomon.SYMBOLS, number, replace=False)
            cadu[4 + places * depth + word] ^= rng.integers(1, 256, number, dtype=np.uint8)

    def _slipped(self, octets: bytes, bit: int, shift: int) -> bytes:
        """With bits put in (or left out) at a bit; ends at a whole octet."""
        head, bits = octets[: bit // 8], np.unpackbits(np.frombuffer(octets, np.uint8, offset=bit // 8))
        more = self._rng.integers(0, 2, max(shift, 0), dtype=np.uint8)
        return head + np.packbits(np.concatenate((more, bits[max(-shift, 0) :]))).tobytes()


def expected(truth: np.ndarray[tuple[int], np.dtype[np.void]]) -> Iterator[tuple[int, ...]]:
    """What must be found of each packet that can be received: virtual channel, process, data take, sequence, CRC."""
    for row in truth[truth["received"]]:
        yield tuple(int(row[name]) for name in ("virtual", "process", "datatake", "sequence", "length", "crc"))


def main() -> None:
    """Generate as told by the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--satellite", default="S1A")
    parser.add_argument("--size", type=int, default=100_000_000, help="octets of each channel")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", action="store_true", help="with gaps, repeats, errors, slips, truncated files")
    given = parser.parse_args()
    faults = SOME if given.faults else Faults()
    made = generate(given.folder, given.satellite, given.size, seed=given.seed, faults=faults)
    packets = {channel: len(truth) for channel, truth in made.truths.items()}
    print(f"{made.id}: packets {packets}, frames that can't be received {made.lost}")  # noqa: T201


if __name__ == "__main__":
    main()
