"""Packets come out of packet zones as they went in, whatever their lengths and however frames come in blocks."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from refsys.services.processors.level0.frames import REMEMBERED, Order
from refsys.services.processors.level0.packets import Extractor, Packets, Zones

ZONE = 100
NO_START = 0x7FF
Lengths = st.lists(st.one_of(st.integers(7, 40), st.integers(7, 1000)), min_size=1, max_size=60)


def packet(number: int, length: int) -> bytes:
    body = np.random.default_rng(number).bytes(length - 6)
    return bytes([0x08, number % 7, 0xC0 | number >> 8, number & 0xFF]) + (length - 7).to_bytes(2, "big") + body


def zones_of(lengths: list[int]) -> tuple[Zones, list[tuple[int, int]]]:
    """Frames with packets of these lengths, and the first and last frame of each; the last frame is full."""
    octets = b"".join(packet(number, length) for number, length in enumerate(lengths))
    starts = np.cumsum([0, *lengths[:-1]])
    frames = -(-len(octets) // ZONE) if len(octets) % ZONE in (0, *range(1, ZONE - 6)) else -(-len(octets) // ZONE) + 1
    fill = frames * ZONE - len(octets)
    octets += (b"\x07\xff\xc0\0" + (fill - 7).to_bytes(2, "big") + bytes(fill - 6)) if fill else b""
    pointers = np.full(frames, NO_START)
    for start in reversed([*starts.tolist(), *([sum(lengths)] if fill else [])]):
        pointers[start // ZONE] = start % ZONE
    content = np.frombuffer(octets, np.uint8).reshape(frames, ZONE)
    flags = np.zeros(frames, np.bool_)
    spans = [
        (start // ZONE, (start + length - 1) // ZONE) for start, length in zip(starts.tolist(), lengths, strict=True)
    ]
    return Zones(content, pointers, np.arange(frames), flags, flags.copy()), spans


def contents(packets: Packets) -> list[bytes]:
    """The packets but idle ones."""
    places = zip(packets.position.tolist(), packets.length.tolist(), packets.process.tolist(), strict=True)
    return [packets.stream[at : at + length].tobytes() for at, length, process in places if process != NO_START]


@settings(max_examples=60, deadline=None)
@given(Lengths, st.integers(1, 20))
def test_all_packets_whatever_the_blocks(lengths: list[int], block: int) -> None:
    zones, spans = zones_of(lengths)
    extractor, found, carried = Extractor(ZONE), [], []
    for start in range(0, len(zones.octets), block):
        packets = extractor.packets(zones.at(np.arange(start, min(start + block, len(zones.octets)))))
        found += contents(packets)
        ends = packets.frame + packets.frames - 1
        own = packets.process != NO_START
        carried += list(zip(packets.frame[own].tolist(), ends[own].tolist(), strict=True))
    assert found == [packet(number, length) for number, length in enumerate(lengths)]
    assert carried == spans
    assert (extractor.cut, extractor.broken, len(extractor.pending.octets)) == (0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(Lengths, st.sets(st.integers(0, 80), max_size=8), st.integers(1, 20))
def test_all_whole_packets_where_frames_are_missing(lengths: list[int], lost: set[int], block: int) -> None:
    zones, spans = zones_of(lengths)
    here = np.array([frame for frame in range(len(zones.octets)) if frame not in lost], np.int64)
    zones.breaks[here] = np.diff(here, prepend=-1) > 1
    extractor, found = Extractor(ZONE), []
    for start in range(0, len(here), block):
        found += contents(extractor.packets(zones.at(here[start : start + block])))
    whole = [
        packet(number, length)
        for number, (length, (first, last)) in enumerate(zip(lengths, spans, strict=True))
        if not lost & set(range(first, last + 1))
    ]
    assert found == whole
    assert extractor.broken == 0


@settings(max_examples=40, deadline=None)
@given(Lengths, st.integers(0, 2000), st.integers(0, 255), st.integers(1, 20))
def test_wrong_headers_break_nothing(lengths: list[int], at: int, value: int, block: int) -> None:
    zones, _ = zones_of(lengths)
    zones.octets = zones.octets.copy()
    zones.octets.reshape(-1)[at % zones.octets.size] = value
    extractor = Extractor(ZONE)
    for start in range(0, len(zones.octets), block):
        selected = np.arange(start, min(start + block, len(zones.octets)))
        packets = extractor.packets(zones.at(selected))
        assert (packets.position + packets.length <= len(packets.stream)).all()
    assert len(extractor.pending.octets) * ZONE < 65542 + 2 * ZONE


def order(
    counts: list[int], *, cycles: bool = False, known: Order | None = None
) -> tuple[list[bool], list[tuple[int, int]]]:
    marks = (np.array(counts, np.uint64) % np.uint64(2**24)) * np.uint64(977)
    found = (known or Order()).of(np.array(counts), marks, cycles=cycles)
    return found.new.tolist(), [(gap.counter, gap.missing) for gap in found.gaps]


def test_the_order_of_frames() -> None:
    assert order([5, 6, 7]) == ([True] * 3, [])
    assert order([5, 6, 9, 10]) == ([True] * 4, [(9, 2)])
    assert order([5, 6, 7, 6, 7, 8]) == ([True, True, True, False, False, True], [])
    assert order([5, 6, 6, 8]) == ([True, True, False, True], [(8, 1)])
    assert order([2**24 - 1, 0, 1]) == ([True] * 3, [])
    assert order([2**24 - 1, 2, 2**24 - 1]) == ([True, True, False], [(2, 2)])
    assert order([2**24 - 1, 2**24, 2**24 + 1], cycles=True) == ([True] * 3, [])


def test_a_count_that_starts_again_is_no_repeat() -> None:
    known = Order()
    order(list(range(1000, 1200)), known=known)
    marks = np.arange(3, dtype=np.uint64)
    found = known.of(np.arange(1000, 1003), marks, cycles=False)
    assert found.new.all()
    assert [gap.missing for gap in found.gaps] == [-1]


def test_repeats_are_remembered_so_far() -> None:
    known = Order()
    order(list(range(REMEMBERED + 10)), known=known)
    again = Order.loaded(known.saved())
    assert order([20, 21, REMEMBERED + 9], known=again)[0] == [False] * 3
    assert order([5], known=again)[1] == [(5, -1)]
