"""Channel access data units of CCSDS 131.0-B-3: their sizes, the attached sync marker, the pseudo-randomiser."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from refsys.services.processors.level0.reed_solomon import CHECKS, DATA, SYMBOLS, Bools, Bytes, Words

MARKER = 0x1ACFFC1D  # the attached sync marker (§9.3.4)
MARKER_BYTES = 4
HEADER_BYTES, PACKETS_HEADER_BYTES = 6, 2  # of an AOS transfer frame (732.0-B-3 §4.1.2) and of an M_PDU (§4.1.4.2)


@dataclass(frozen=True)
class Framing:
    """What the frames of a mission look like.

    `depth` is the interleaving depth I of the Reed-Solomon code: 5 makes CADUs of 1279 octets. The station's front end
    may have checked them; `check` does it here. `ocf` and `fecf` say that frames end with an operational control field
    and a frame error control field.
    """

    depth: int = 5
    check: bool = True
    ocf: bool = False
    fecf: bool = False

    @property
    def block_bytes(self) -> int:
        """The codeblock: a transfer frame and its check symbols."""
        return SYMBOLS * self.depth

    @property
    def cadu_bytes(self) -> int:
        """The codeblock with its sync marker."""
        return MARKER_BYTES + self.block_bytes

    @property
    def frame_bytes(self) -> int:
        """The transfer frame."""
        return DATA * self.depth

    @property
    def check_bytes(self) -> int:
        """The check symbols."""
        return CHECKS * self.depth

    @property
    def zone(self) -> slice:
        """Where the packet zone of the M_PDU is in a transfer frame."""
        return slice(HEADER_BYTES + PACKETS_HEADER_BYTES, self._zone_end)

    @property
    def zone_bytes(self) -> int:
        """The length of the packet zone."""
        return self._zone_end - HEADER_BYTES - PACKETS_HEADER_BYTES

    @property
    def _zone_end(self) -> int:
        return self.frame_bytes - 4 * self.ocf - 2 * self.fecf


@cache
def pseudo_noise(octets: int) -> Bytes:
    """255 bits, repeated, of the randomiser h(x) = x⁸ + x⁷ + x⁵ + x³ + 1 from all ones (131.0-B-3 §10.4)."""
    bits = [1] * 8
    while len(bits) < 255:
        bits.append(bits[-8] ^ bits[-5] ^ bits[-3] ^ bits[-1])
    return np.packbits(np.resize(np.array(bits, np.uint8), octets * 8))


@cache
def _error_control_table(octets: int) -> Words:
    """What each octet of a frame adds to its CRC: by position and value."""
    table = np.zeros((octets, 256), np.uint64)
    row = np.arange(256, dtype=np.uint64) << np.uint64(8)
    for position in range(octets - 1, -1, -1):
        for _ in range(8):
            carry = (row >> np.uint64(15)) & np.uint64(1)
            row = ((row << np.uint64(1)) & np.uint64(0xFFFF)) ^ carry * np.uint64(0x1021)
        table[position] = row
    return table


def error_control(frames: Bytes) -> Words:
    """The error control field of frames without it, one a row: x¹⁶ + x¹² + x⁵ + 1 from all ones (732.0-B-3 §4.1.6)."""
    table = _error_control_table(frames.shape[1])
    total = np.full(len(frames), table[0, 0xFF] ^ table[1, 0xFF], np.uint64)
    for position in range(frames.shape[1]):
        total ^= table[position, frames[:, position]]
    return total


def error_control_holds(frames: Bytes) -> Bools:
    """Whether the frame error control field at the end of frames (one a row) is right."""
    written = frames[:, -2].astype(np.uint64) << np.uint64(8) | frames[:, -1]
    holds: Bools = error_control(frames[:, :-2]) == written
    return holds
