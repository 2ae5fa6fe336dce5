"""Frames are found wherever they lie in a stream of bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsys.services.processors.level0.framing import MARKER, Framing, pseudo_noise
from refsys.services.processors.level0.reed_solomon import Bytes
from refsys.services.processors.level0.synchronisation import Lock, Synchroniser

FRAMING = Framing(depth=1)
CADU = FRAMING.cadu_bytes


def frame(number: int) -> Bytes:
    return np.random.default_rng(number).integers(0, 256, FRAMING.block_bytes, dtype=np.uint8)


def bits(number: int) -> Bytes:
    marker = np.frombuffer(MARKER.to_bytes(4, "big"), np.uint8)
    return np.unpackbits(np.concatenate((marker, frame(number) ^ pseudo_noise(FRAMING.block_bytes))))


def found(stream: bytes, portion: int) -> tuple[list[bytes], Lock]:
    """The frames that are found if the stream comes in portions."""
    lock, buffer, out, frames = Lock(), bytearray(), np.empty((4000, FRAMING.block_bytes), np.uint8), []
    synchroniser = Synchroniser(FRAMING, lock)
    for start in range(0, len(stream), portion):
        buffer += stream[start : start + portion]
        taken = synchroniser.take(bytearray(buffer), len(buffer), out, final=start + portion >= len(stream))
        frames += [row.tobytes() for row in out[: taken.frames]]
        buffer = buffer[taken.octets :]
    assert not buffer
    return frames, lock


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=6, max_size=6), st.integers(3 * CADU, 20 * CADU))
def test_junk_of_any_number_of_bits_between_frames(junk: list[int], portion: int) -> None:
    random, pieces = np.random.default_rng(sum(junk)), []
    for group, size in enumerate(junk):
        pieces += [random.integers(0, 2, size, dtype=np.uint8), *(bits(4 * group + number) for number in range(4))]
    frames, lock = found(np.packbits(np.concatenate(pieces)).tobytes(), portion)
    assert frames == [frame(number).tobytes() for number in range(24)]
    assert lock.skipped == sum(junk) + -sum(junk) % 8


@settings(max_examples=25, deadline=None)
@given(st.integers(1, CADU * 8 - 1), st.integers(3 * CADU, 20 * CADU))
def test_a_frame_that_lost_its_end_is_dropped_alone(kept: int, portion: int) -> None:
    pieces = [bits(number)[:kept] if number == 5 else bits(number) for number in range(12)]
    frames, lock = found(np.packbits(np.concatenate(pieces)).tobytes(), portion)
    assert frames == [frame(number).tobytes() for number in range(12) if number != 5]
    assert lock.losses == 1


@pytest.mark.parametrize("wrong", [0x80000001, 0xFFFFFFFF])
def test_one_damaged_marker_costs_nothing(wrong: int) -> None:
    sent = bytearray(np.packbits(np.concatenate([bits(number) for number in range(12)])).tobytes())
    sent[4 * CADU : 4 * CADU + 4] = (MARKER ^ wrong).to_bytes(4, "big")
    frames, lock = found(bytes(sent), 5 * CADU)
    assert frames == [frame(number).tobytes() for number in range(12)]
    assert (lock.damaged, lock.losses) == (1, 0)


@settings(max_examples=20, deadline=None)
@given(st.binary(max_size=5000))
def test_a_stream_of_anything(stream: bytes) -> None:
    frames, lock = found(stream, 4 * CADU)
    assert not frames or MARKER.to_bytes(4, "big") in stream
    assert lock.skipped <= 8 * len(stream)


def test_a_stream_that_ends_within_a_frame() -> None:
    sent = np.packbits(np.concatenate([bits(number) for number in range(5)])).tobytes()[:-10]
    frames, lock = found(sent, len(sent))
    assert len(frames) == 4
    assert lock.skipped == 8 * (CADU - 10)
