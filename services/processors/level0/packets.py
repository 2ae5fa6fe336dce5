"""Space packets (CCSDS 133.0-B-2) in the packet zones of M_PDUs (732.0-B-3 §4.1.4.2).

The first header pointers of frames say where chains of packets begin; all chains of a block are followed at once, a
packet of each in a step. A chain must end where the next one begins: if it does not, its last packet is dropped.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from refsys.services.processors.level0.frames import NO_START, Arrays
from refsys.services.processors.level0.reed_solomon import Bools, Bytes, Ints

HEADER_BYTES = 6
SHORTEST = HEADER_BYTES + 1
IDLE = 0x7FF  # application process of idle packets (§4.1.2.3.4.4)


class Packets(NamedTuple):
    """Packets of a stream of octets: their places in it, header fields, and the frames that carried them."""

    stream: Bytes
    position: Ints
    length: Ints
    process: Ints
    sequence: Ints
    secondary: Bools
    frame: Ints
    frames: Ints
    corrected: Ints

    def at(self, places: Ints | slice) -> "Packets":
        """Those at some places."""
        return Packets(
            self.stream,
            self.position[places],
            self.length[places],
            self.process[places],
            self.sequence[places],
            self.secondary[places],
            self.frame[places],
            self.frames[places],
            self.corrected[places],
        )


@dataclass
class Zones:
    """Packet zones of consecutive new frames: first header pointers, counts, what was corrected or is after gaps."""

    octets: Bytes
    pointers: Ints
    counts: Ints
    corrected: Bools
    breaks: Bools

    @classmethod
    def none(cls, zone_bytes: int) -> Self:
        """No frames."""
        empty, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        return cls(np.zeros((0, zone_bytes), np.uint8), empty, empty, flags, flags)

    def at(self, frames: Ints) -> "Zones":
        """Copies of those of some frames."""
        return Zones(
            self.octets[frames],
            self.pointers[frames],
            self.counts[frames],
            self.corrected[frames],
            self.breaks[frames],
        )

    def then(self, other: "Zones") -> "Zones":
        """These and others after them."""
        if not len(self.octets):
            return other
        return Zones(
            np.concatenate((self.octets, other.octets)),
            np.concatenate((self.pointers, other.pointers)),
            np.concatenate((self.counts, other.counts)),
            np.concatenate((self.corrected, other.corrected)),
            np.concatenate((self.breaks, other.breaks)),
        )

    def saved(self) -> Arrays:
        """Their state, to go on from."""
        return dict(vars(self))

    @classmethod
    def loaded(cls, arrays: Arrays) -> Self:
        """Go on from a state."""
        return cls(
            np.asarray(arrays["octets"], np.uint8),
            np.asarray(arrays["pointers"], np.int64),
            np.asarray(arrays["counts"], np.int64),
            np.asarray(arrays["corrected"], np.bool_),
            np.asarray(arrays["breaks"], np.bool_),
        )


class Extractor:
    """Takes the packets out of a virtual channel's frames, block by block."""

    def __init__(self, zone_bytes: int, pending: Zones | None = None) -> None:
        """Go on with frames that hold the beginning of a packet."""
        self.pending = pending or Zones.none(zone_bytes)
        self.cut = 0  # packets whose end is missing
        self.broken = 0  # packets that don't end where the next one begins, or that are none

    def packets(self, zones: Zones) -> Packets:
        """The packets that are complete with these frames, in their order, idle ones too."""
        zones = self.pending.then(zones)
        size, stream = zones.octets.shape[1], zones.octets.reshape(-1)
        position, length, rest = self._chains(zones, stream)
        self.pending = Zones.none(size)
        if rest >= 0:
            first = rest // size
            self.pending = zones.at(np.arange(first, len(zones.octets)))
            self.pending.pointers[0] = rest - first * size
        begin, end = position // size, (position + length - 1) // size
        corrected = np.concatenate(([0], np.cumsum(zones.corrected)))
        identifier = stream[position].astype(np.int64) << 8 | stream[position + 1]
        return Packets(
            stream,
            position,
            length,
            process=identifier & 0x7FF,
            sequence=(stream[position + 2].astype(np.int64) << 8 | stream[position + 3]) & 0x3FFF,
            secondary=identifier & 0x800 != 0,
            frame=zones.counts[begin],
            frames=end - begin + 1,
            corrected=corrected[end + 1] - corrected[begin],
        )

    def _chains(self, zones: Zones, stream: Bytes) -> tuple[Ints, Ints, int]:
        """Places and lengths of all packets, and where the one begins that goes on in the next block (-1: none)."""
        number, size = zones.octets.shape
        headed = np.flatnonzero(zones.pointers < min(size, NO_START))
        starts = headed * size + zones.pointers[headed]
        # A run of frames ends where frames are missing; chains in it end at the next chain's start, or with it.
        borders = np.flatnonzero(zones.breaks)
        run = np.searchsorted(borders, headed, "right")
        limits = (np.append(borders, number) * size)[run]
        ends_run = np.append(run[1:] != run[:-1], True) if len(run) else np.zeros(0, np.bool_)
        limits[:-1] = np.where(ends_run[:-1], limits[:-1], starts[1:])
        goes_on = run == len(borders)

        positions, lengths, rest = [], [], -1
        active, at = np.arange(len(starts)), starts
        while True:
            room = limits[active] - at
            left = room > 0
            active, at, room = active[left], at[left], room[left]
            if not active.size:
                break
            readable = room >= SHORTEST
            safe = np.where(readable, at, 0)
            length = np.where(
                readable, (stream[safe + 4].astype(np.int64) << 8 | stream[safe + 5]) + SHORTEST, SHORTEST
            )
            valid = ~readable | (stream[safe] >> 5 == 0)  # packet version 1 is coded 000
            whole = valid & (length <= room)
            unfinished = valid & ~whole & ends_run[active]
            if waits := at[unfinished & goes_on[active]].tolist():
                rest = waits[-1]
            self.cut += int(np.count_nonzero(unfinished & ~goes_on[active]))
            self.broken += int(np.count_nonzero(~whole & ~unfinished))
            active, at, length = active[whole], at[whole], length[whole]
            positions.append(at)
            lengths.append(length)
            at = at + length
        if not positions:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), rest
        position, length = np.concatenate(positions), np.concatenate(lengths)
        order = np.argsort(position, kind="stable")
        return position[order], length[order], rest
