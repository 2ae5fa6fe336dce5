"""Finding frames in a stream of bits: lock onto the sync marker, keep it, find it again after loss or slip.

Locked, the marker is looked for only where it should be; up to 3 of its bits may be wrong, and one marker may be lost
altogether. Two in a row are a loss: a frame that is too short is dropped, and the marker is searched at every bit,
until one has a second one a frame later.
"""

from dataclasses import dataclass, field

import numpy as np

from refsys.services.processors.level0.framing import MARKER, MARKER_BYTES, Framing, pseudo_noise
from refsys.services.processors.level0.reed_solomon import Bools, Bytes

WRONG_BITS = 3  # in a marker that is where it should be
_DECIDED = 2  # frames after it that tell whether a frame is whole
_MARKER = MARKER.to_bytes(MARKER_BYTES, "big")


@dataclass
class Lock:
    """Where a channel's synchroniser is: `shift` is the bit of the octet at which frames begin, None while searching.

    `skipped` are bits that belonged to no frame; `losses` says how often the lock was lost, `damaged` how many markers
    had wrong bits.
    """

    shift: int | None = None
    skipped: int = 0
    losses: int = 0
    damaged: int = 0


@dataclass
class Taken:
    """What was taken of a buffer: octets that need not come again, whole frames, and the places of losses in it."""

    octets: int = 0
    frames: int = 0
    losses: list[tuple[int, int]] = field(default_factory=list)
    """Octet at which the lock was lost, and the octet at which it was found again or the search ended."""


class Synchroniser:
    """Takes frames out of buffers of a stream, derandomised."""

    def __init__(self, framing: Framing, lock: Lock) -> None:
        """Go on from `lock`."""
        self.lock = lock
        self._cadu = framing.cadu_bytes
        self._noise = pseudo_noise(framing.block_bytes)

    def take(self, buffer: bytearray, end: int, out: Bytes, *, final: bool) -> Taken:
        """Derandomise the frames in the first `end` octets of the buffer into `out`; `final` if nothing follows."""
        taken, position = Taken(), 0
        while True:
            if self.lock.shift is None:
                position, found = self._search(buffer, position, end, taken, final=final)
                if not found:
                    break
            before = position
            position = self._locked(buffer, position, end, out=out, taken=taken, final=final)
            if self.lock.shift is not None and position == before:
                break
        if final:
            self.lock.skipped += (end - position) * 8 - (self.lock.shift or 0)
            position = end
        taken.octets = position
        return taken

    def _locked(self, buffer: bytearray, position: int, end: int, *, out: Bytes, taken: Taken, final: bool) -> int:
        """Take frames while the lock holds; return where to go on."""
        shift = self.lock.shift or 0
        rows = max(end - position - (shift > 0), 0) // self._cadu
        near = self._near(buffer, position, shift, rows)
        lost = np.flatnonzero(~near[:-1] & ~near[1:])
        if not lost.size:
            count = (rows - (rows > 0 and not near[-1])) if final else max(rows - _DECIDED, 0)
            return self._emit(buffer, position, shift, near[:count], out=out, taken=taken)
        bad = int(lost[0])
        start = position + bad * self._cadu
        if bad:
            marker = next_marker(buffer, start - self._cadu + 1, start + MARKER_BYTES, self._cadu, end)
            if marker is not None and marker < start * 8 + shift:
                position = self._emit(buffer, position, shift, near[: bad - 1], out=out, taken=taken)
                self._lose(taken, position)
                return self._found(taken, position * 8 + shift, marker)
        position = self._emit(buffer, position, shift, near[:bad], out=out, taken=taken)
        self._lose(taken, position)
        self.lock.skipped -= shift  # the search counts from the octet in which the last frame ended
        self.lock.shift = None
        return position

    def _near(self, buffer: bytearray, position: int, shift: int, rows: int) -> Bools:
        """Whether the marker is at the head of each frame, but for a few bits."""
        octets = np.frombuffer(buffer, np.uint8, rows * self._cadu + (shift > 0), position)
        heads = octets[: rows * self._cadu].reshape(rows, self._cadu)[:, :4]
        words = np.ascontiguousarray(heads).view(">u4").ravel().astype(np.uint64)
        if shift:
            fifth = octets[4 :: self._cadu][:rows].astype(np.uint64)
            words = (words << np.uint64(8) | fifth) >> np.uint64(8 - shift) & np.uint64(0xFFFFFFFF)
        wrong = np.bitwise_count(words ^ np.uint64(MARKER))
        self._wrong = wrong
        near: Bools = wrong <= WRONG_BITS
        return near

    def _emit(self, buffer: bytearray, position: int, shift: int, near: Bools, *, out: Bytes, taken: Taken) -> int:
        rows = len(near)
        if not rows:
            return position
        size = rows * self._cadu
        octets = np.frombuffer(buffer, np.uint8, size + (shift > 0), position)
        if shift:
            octets = octets[:-1] << np.uint8(shift) | octets[1:] >> np.uint8(8 - shift)
        frames = octets.reshape(rows, self._cadu)[:, MARKER_BYTES:]
        np.bitwise_xor(frames, self._noise, out=out[taken.frames : taken.frames + rows])
        taken.frames += rows
        self.lock.damaged += int(np.count_nonzero(self._wrong[:rows]))
        return position + size

    def _search(self, buffer: bytearray, position: int, end: int, taken: Taken, *, final: bool) -> tuple[int, bool]:
        """Find the next frame; return where, or from where to search again with more of the stream."""
        start = position * 8
        marker = next_marker(buffer, position, end, self._cadu, end)
        if marker is not None:
            octet = marker // 8
            known = octet + self._cadu + MARKER_BYTES + 1 <= end
            if known or (final and octet + self._cadu + (marker % 8 > 0) <= end):
                return self._found(taken, start, marker), True
            if not final:
                self._skip(taken, position, octet)
                return octet, False
        tail = end if final else max(end - MARKER_BYTES, position)
        self._skip(taken, position, tail)
        return tail, False

    def _lose(self, taken: Taken, position: int) -> None:
        self.lock.losses += 1
        taken.losses.append((position, position))

    def _found(self, taken: Taken, start: int, marker: int) -> int:
        self.lock.skipped += marker - start
        self.lock.shift = marker % 8
        if taken.losses:
            taken.losses[-1] = (taken.losses[-1][0], marker // 8)
        return marker // 8

    def _skip(self, taken: Taken, position: int, until: int) -> None:
        self.lock.skipped += (until - position) * 8
        if taken.losses:
            taken.losses[-1] = (taken.losses[-1][0], until)


def next_marker(buffer: bytearray, start: int, stop: int, cadu: int, end: int) -> int | None:
    """The first bit, in octets from `start` to before `stop`, of a marker that another one follows a frame later.

    Where the stream ends before that (`end`), the first alone is believed.
    """
    best: int | None = None
    for shift in range(8):
        # At any other bit than an octet's first, three whole octets of the marker are seen from the second octet on.
        pattern, offset = (_MARKER, 0) if shift == 0 else ((MARKER >> shift & 0xFFFFFF).to_bytes(3, "big"), 1)
        at, last = start, stop if best is None else best // 8 + (shift < best % 8)
        while (hit := buffer.find(pattern, at + offset, min(last + MARKER_BYTES - 1, end))) >= 0:
            octet = hit - offset
            if octet < last and _word(buffer, octet, shift, end) == MARKER:
                second = _word(buffer, octet + cadu, shift, end)
                if second is None or (second ^ MARKER).bit_count() <= WRONG_BITS:
                    best = octet * 8 + shift
                    break
            at = octet + 1
    return best


def _word(buffer: bytearray, octet: int, shift: int, end: int) -> int | None:
    """The 32 bits from a bit on; None beyond the end."""
    if octet + MARKER_BYTES + (shift > 0) > end:
        return None
    return int.from_bytes(buffer[octet : octet + 5].ljust(5, b"\0"), "big") >> (8 - shift) & 0xFFFFFFFF
