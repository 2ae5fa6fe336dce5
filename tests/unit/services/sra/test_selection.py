"""The best choice for one antenna: beside all possible choices, and as what is known of such choices."""

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from refsys.services.sra.selection import Candidate, best


@st.composite
def candidates(draw: st.DrawFn, most: int = 8) -> list[Candidate]:
    some = st.tuples(st.integers(0, 300), st.integers(1, 60), st.integers(1, 50), st.sampled_from("ABCD"))
    found = draw(st.lists(some, max_size=most))
    return [
        Candidate(float(start + length), float(start), f"S1{satellite}", "SGS_", length * weight, 30.0 + number, "")
        for number, (start, length, weight, satellite) in enumerate(found)
    ]


def worth(chosen: list[Candidate]) -> int:
    return sum(each.worth for each in chosen)


def apart(chosen: list[Candidate], setup: float) -> bool:
    return all(other.start - one.stop >= setup for one, other in pairwise(sorted(chosen, key=lambda each: each.start)))


@settings(max_examples=60, deadline=None)
@given(candidates=candidates(), setup=st.integers(0, 40))
def test_no_choice_is_better(candidates: list[Candidate], setup: int) -> None:
    chosen = best(candidates, setup)
    assert apart(chosen, setup)
    assert set(chosen) <= set(candidates)
    every = (
        worth(list(some))
        for count in range(len(candidates) + 1)
        for some in combinations(candidates, count)
        if apart(list(some), setup)
    )
    assert worth(chosen) == max(every)


@settings(max_examples=60, deadline=None)
@given(candidates=candidates(20), setup=st.integers(0, 40), order=st.randoms())
def test_the_order_of_the_candidates_does_not_matter(candidates: list[Candidate], setup: int, order: object) -> None:
    mixed = sorted(candidates, key=lambda _: order.random())  # type: ignore[attr-defined]
    assert best(mixed, setup) == best(candidates, setup)


@settings(max_examples=60, deadline=None)
@given(candidates=candidates(20), setup=st.integers(0, 40))
def test_it_is_monotone(candidates: list[Candidate], setup: int) -> None:
    """One more candidate is never a loss, a longer set-up time never a gain."""
    if candidates:
        assert worth(best(candidates[1:], setup)) <= worth(best(candidates, setup))
    assert worth(best(candidates, setup + 5)) <= worth(best(candidates, setup))


@settings(max_examples=60, deadline=None)
@given(candidates=candidates(20), setup=st.integers(0, 40), factor=st.integers(2, 5))
def test_a_mission_that_counts_more_does_not_get_less(candidates: list[Candidate], setup: int, factor: int) -> None:
    def of_a(chosen: list[Candidate], by: int) -> int:
        return sum(each.worth // by for each in chosen if each.satellite == "S1A")

    raised = [
        Candidate(each.stop, each.start, each.satellite, each.station, each.worth * factor, each.elevation, "")
        if each.satellite == "S1A"
        else each
        for each in candidates
    ]
    assert of_a(best(raised, setup), factor) >= of_a(best(candidates, setup), 1)
