"""How full a memory is."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refsys.services.orbits.memory import Flow, content_at, levels

times = st.integers(0, 1000).map(float)
flows = st.lists(
    st.tuples(times, times, st.integers(-600, 600)).map(lambda each: Flow(min(each[:2]), max(each[:2]) + 1, each[2])),
    max_size=8,
)


def test_it_fills_and_empties() -> None:
    found = levels([Flow(0, 100, 400), Flow(200, 250, -500)], 0, 300, memory=100)
    assert [(each.time, each.content) for each in found] == [(0, 0), (100, 40), (200, 40), (250, 15), (300, 15)]
    assert content_at(found, 220) == 40


def test_what_does_not_fit_is_lost() -> None:
    found = levels([Flow(0, 100, 400)], 0, 200, memory=30)
    assert found[-1].content == 30
    assert found[-1].lost == pytest.approx(10)


@given(flows=flows, memory=st.integers(1, 500))
def test_it_is_never_more_than_full_or_less_than_empty(flows: list[Flow], memory: int) -> None:
    found = levels(flows, 0, 500, memory)
    assert all(0 <= each.content <= memory for each in found)
    assert [each.time for each in found] == sorted({each.time for each in found})
    assert all(one.lost <= other.lost for one, other in pairwise(found))
