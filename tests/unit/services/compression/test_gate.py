"""The gate: priorities in order, a fair share for the low ones, a slot kept for the highest."""

import threading
import time
from collections import Counter

import pytest

from refsys.services.compression.gate import Gate, StoppedError

WEIGHTS = {"high": 4, "medium": 2, "low": 1}


def order_of(gate: Gate, waiting: dict[str, int]) -> list[str]:
    """The order in which that many jobs of each priority, all waiting before the first starts, get their turn."""
    order: list[str] = []
    lock = threading.Lock()

    def work(priority: str) -> None:
        with gate.slot(priority), lock:
            order.append(priority)

    with gate.slot("high"):  # keeps the only slot until all wait
        threads = [threading.Thread(target=work, args=(name,)) for name, count in waiting.items() for _ in range(count)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 10
        while sum(gate._waiting.values()) < len(threads):
            assert time.monotonic() < end
            time.sleep(0.01)
    for thread in threads:
        thread.join(10)
    return order


def test_higher_first_and_lower_in_their_share() -> None:
    order = order_of(Gate(WEIGHTS, 1, threading.Event()), {"low": 5, "high": 20, "medium": 10})
    assert order[:6] == ["high", "high", "high", "medium", "medium", "low"]  # one turn of high was taken before
    assert order[6:13] == ["high"] * 4 + ["medium"] * 2 + ["low"]
    assert Counter(order) == {"low": 5, "high": 20, "medium": 10}
    assert max(after - before for before, after in zip(*[iter(_places(order, "low"))] * 2, strict=False)) <= 7


def _places(order: list[str], name: str) -> list[int]:
    return [place for place, each in enumerate(order) if each == name]


def test_low_alone_has_all_turns() -> None:
    assert order_of(Gate(WEIGHTS, 1, threading.Event()), {"low": 9}) == ["low"] * 9


def test_the_last_slot_is_kept_for_the_highest() -> None:
    gate = Gate(WEIGHTS, 2, threading.Event())
    started = threading.Event()

    def medium() -> None:
        with gate.slot("medium"):
            started.set()

    with gate.slot("low"):
        waiting = threading.Thread(target=medium)
        waiting.start()
        with gate.slot("high"):  # at once, beside the low one
            assert not started.wait(0.3)
        assert not started.wait(0.3)
    assert started.wait(5)
    waiting.join(5)


def test_low_is_not_starved_by_high_ones_that_never_end() -> None:
    gate = Gate(WEIGHTS, 2, threading.Event())
    over = threading.Event()

    def high() -> None:
        while not over.is_set():
            with gate.slot("high"):
                time.sleep(0.005)

    threads = [threading.Thread(target=high) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            started = time.monotonic()
            with gate.slot("low"):
                assert time.monotonic() - started < 10
    finally:
        over.set()
    for thread in threads:
        thread.join(10)


def test_who_waits_leaves_when_the_process_stops() -> None:
    stop = threading.Event()
    gate = Gate(WEIGHTS, 1, stop)
    with gate.slot("low"):
        stop.set()
        with pytest.raises(StoppedError), gate.slot("high"):
            pass
