"""Chunks made ahead: in order, with the maker's errors, and without a thread left behind."""

import threading
from collections.abc import Iterator

import pytest

from refsys.services.common.ahead import AHEAD, made_ahead


def test_all_chunks_in_order_from_another_thread() -> None:
    makers: set[str] = set()

    def make() -> Iterator[bytes]:
        for number in range(100):
            makers.add(threading.current_thread().name)
            yield bytes([number])

    with made_ahead(make()) as chunks:
        assert b"".join(chunks) == bytes(range(100))
    assert makers == {"ahead"}


def test_what_the_maker_raises_is_raised_where_chunks_are_taken() -> None:
    def make() -> Iterator[bytes]:
        yield b"first"
        raise ValueError("broken")

    with made_ahead(make()) as chunks:
        assert next(chunks) == b"first"
        with pytest.raises(ValueError, match="broken"):
            next(chunks)


def test_a_taker_that_leaves_ends_the_maker() -> None:
    made = 0

    def make() -> Iterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"x"

    before = threading.active_count()
    with made_ahead(make()) as chunks:
        next(chunks)
    assert made <= AHEAD + 3
    assert threading.active_count() == before
