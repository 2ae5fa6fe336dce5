"""One virtual channel: its frames in order, and the packets in them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from refsys.services.processors.level0.frames import IDLE_ZONE, Gap, Headers, Order
from refsys.services.processors.level0.framing import Framing
from refsys.services.processors.level0.packets import Extractor, Packets, Zones
from refsys.services.processors.level0.reed_solomon import Bools, Bytes, Ints, Words


@dataclass
class Counts:
    """What was seen of a virtual channel, in frames and packets."""

    frames: int = 0
    repeats: int = 0
    gaps: int = 0
    missing: int = 0
    restarts: int = 0
    packets: int = 0
    idle_packets: int = 0
    cut_packets: int = 0
    broken_packets: int = 0


@dataclass
class Step:
    """What a block of frames gave: packets, gaps, and the counts of repeated frames."""

    packets: Packets
    gaps: list[Gap]
    repeats: Ints


class VirtualChannel:
    """Takes blocks of frames of one virtual channel."""

    def __init__(
        self, framing: Framing, saved: dict[str, Any] | None = None, arrays: dict[str, Any] | None = None
    ) -> None:
        """Go on from a state."""
        self._framing = framing
        state = saved or {}
        self.counts = Counts(**state.get("counts", {}))
        self._break = bool(state.get("break", False))  # frames were missing before an idle one: so they are after it
        self._order = Order.loaded(arrays) if arrays else Order()
        self._extractor = Extractor(framing.zone_bytes, Zones.loaded(arrays) if arrays else None)

    def take(self, frames: Bytes, rows: Ints, head: Headers, marks: Words, corrected: Bools) -> Step:
        """Go through frames, which are those `rows` of a block with their headers and signatures."""
        counts, pointers, zone = head.counter[rows], head.pointer[rows], self._framing.zone
        order = self._order.of(counts, marks[rows], cycles=bool(head.cycles[rows].any()))
        useful = order.new & (pointers != IDLE_ZONE)
        breaks = order.breaks
        if not useful.all():
            passed = np.cumsum(breaks) + self._break
            breaks = np.diff(passed[useful], prepend=0) > 0
            self._break = bool(passed[-1] > (passed[useful][-1] if useful.any() else 0))
        elif self._break:
            breaks = breaks.copy()
            breaks[0], self._break = True, False
        kept = rows[useful]
        zones = Zones(frames[kept, zone], pointers[useful], counts[useful], corrected[kept], breaks)
        packets = self._extractor.packets(zones)
        self._count(order.gaps, order.new, packets)
        return Step(packets, order.gaps, counts[~order.new])

    def _count(self, gaps: list[Gap], new: Bools, packets: Packets) -> None:
        counts = self.counts
        counts.frames += len(new)
        counts.repeats += int(np.count_nonzero(~new))
        counts.gaps += len(gaps)
        counts.missing += sum(gap.missing for gap in gaps if gap.missing > 0)
        counts.restarts += sum(gap.missing < 0 for gap in gaps)
        counts.packets += len(packets.position)
        counts.cut_packets, counts.broken_packets = (
            counts.cut_packets + self._extractor.cut,
            counts.broken_packets + self._extractor.broken,
        )
        self._extractor.cut = self._extractor.broken = 0

    def close(self) -> None:
        """Nothing follows: a packet that waits for its end is cut."""
        self.counts.cut_packets += len(self._extractor.pending.octets) > 0
        self._extractor.pending = Zones.none(self._framing.zone_bytes)

    def saved(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Its state, to go on from: values and arrays."""
        return (
            {"counts": vars(self.counts), "break": self._break},
            {**self._order.saved(), **self._extractor.pending.saved()},
        )
