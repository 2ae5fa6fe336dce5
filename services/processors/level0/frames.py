"""AOS transfer frames (CCSDS 732.0-B-3): their headers, and the order of frames in a virtual channel.

Frames of a virtual channel count modulo 2²⁴, or 2²⁸ where the count has a cycle. A frame is a repeat if it has the
count of a recent frame and its content; a jump forward is a gap; anything else is a restart of the count, a gap of
unknown length.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from refsys.services.processors.level0.reed_solomon import Bools, Bytes, Ints, Words

IDLE_CHANNEL = 63  # frames of only idle data (§4.1.2.3)
NO_START, IDLE_ZONE = 0x7FF, 0x7FE  # first header pointers without a packet's start (§4.1.4.2.3)
REMEMBERED = 2**16  # frames of a virtual channel among which repeats are found

Arrays = Mapping[str, npt.NDArray[np.generic]]


class Headers(NamedTuple):
    """The fields of primary and M_PDU headers, one array a field."""

    version: Ints
    spacecraft: Ints
    channel: Ints
    counter: Ints
    cycles: Bools
    pointer: Ints


def headers(frames: Bytes) -> Headers:
    """The headers of frames, one a row (§4.1.2, §4.1.4.2.2)."""
    octets = np.ascontiguousarray(frames[:, :8].T).astype(np.int64)
    identifier = octets[0] << 8 | octets[1]
    cycles = octets[5] & 0x40 != 0
    count = octets[2] << 16 | octets[3] << 8 | octets[4]
    return Headers(
        version=identifier >> 14,
        spacecraft=identifier >> 6 & 0xFF,
        channel=identifier & 0x3F,
        counter=np.where(cycles, (octets[5] & 0xF) << 24 | count, count),
        cycles=cycles,
        pointer=(octets[6] << 8 | octets[7]) & 0x7FF,
    )


def signatures(frames: Bytes, end: int) -> Words:
    """A word of each frame's content, up to octet `end`, by which repeats are told from other frames of their count."""
    first = np.ascontiguousarray(frames[:, 6:14]).view(np.uint64).ravel()
    middle = np.ascontiguousarray(frames[:, end // 2 : end // 2 + 8]).view(np.uint64).ravel()
    last = np.ascontiguousarray(frames[:, end - 8 : end]).view(np.uint64).ravel()
    marks: Words = first ^ middle * np.uint64(3) ^ last * np.uint64(5)
    return marks


class Gap(NamedTuple):
    """Frames that are missing before a frame: its place in the array, its counter, how many (-1: not known)."""

    place: int
    counter: int
    missing: int


@dataclass
class Ordered:
    """Which frames of an array are new, before which of them something is missing, and what."""

    new: Bools
    breaks: Bools
    gaps: list[Gap] = field(default_factory=list)


class Order:
    """The order of the frames of a virtual channel."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._last = -1
        self._recent = np.zeros(REMEMBERED, np.uint64)
        self._known = 0  # how many of the last counts are remembered

    def of(self, counts: Ints, content: Words, *, cycles: bool) -> Ordered:
        """Tell the order of the next frames, by their counts and signatures."""
        modulus = 2**28 if cycles else 2**24
        steps = np.diff(counts, prepend=self._last) % modulus
        found = Ordered(np.ones(len(counts), np.bool_), np.zeros(len(counts), np.bool_))
        if self._last >= 0 and (steps == 1).all():
            self._recent[counts % REMEMBERED] = content
            self._known = min(self._known + len(counts), REMEMBERED)
            self._last = int(counts[-1])
            return found
        for place, (count, mark) in enumerate(zip(counts.tolist(), content.tolist(), strict=True)):
            step = (count - self._last) % modulus
            back = (self._last - count) % modulus
            if self._last < 0:
                found.breaks[place] = True
            elif back < self._known and self._recent[count % REMEMBERED] == mark:
                found.new[place] = False
                continue
            elif step != 1:
                found.breaks[place] = True
                missing = step - 1 if 0 < step < modulus // 2 else -1
                found.gaps.append(Gap(place, count, missing))
                self._forget(count, missing)
            self._recent[count % REMEMBERED] = mark
            self._known = min(self._known + 1, REMEMBERED)
            self._last = count
        return found

    def _forget(self, count: int, missing: int) -> None:
        """The places of counts that never came hold older frames."""
        if not 0 <= missing < REMEMBERED:
            self._known = 0
            return
        self._recent[np.arange(count - missing, count) % REMEMBERED] = 0
        self._known = min(self._known + missing, REMEMBERED)

    def saved(self) -> Arrays:
        """Its state, to go on from."""
        return {"recent": self._recent, "order": np.array([self._last, self._known])}

    @classmethod
    def loaded(cls, arrays: Arrays) -> Self:
        """Go on from a state."""
        order = cls()
        order._recent = np.asarray(arrays["recent"], np.uint64).copy()
        order._last, order._known = (int(value) for value in np.asarray(arrays["order"], np.int64))
        return order
