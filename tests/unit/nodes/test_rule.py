"""How many nodes the queue asks for."""

import pytest

from refsys.infra.scaling.rule import (
    COOL_DOWN_SECONDS,
    SHRINK_SECONDS,
    Bounds,
    Load,
    Memory,
    Queue,
    Seen,
    Urgency,
    changed,
    decide,
    needed,
)

NODE = Load(0, 4, 8192)
FREE = Bounds(0, 5, {})
JOB = Load(1, 1, 1024)


def _seen(running: int = 0, *, node: Load | None = NODE, **waiting: int) -> Seen:
    queue = Queue(JOB.part(running), {Urgency(name): JOB.part(number) for name, number in waiting.items()})
    return Seen({"S1": queue}, node)


@pytest.mark.parametrize(
    ("seen", "nodes"),
    [
        (_seen(), 0),
        (_seen(1), 1),
        (_seen(4), 1),
        (_seen(5), 2),
        (_seen(urgent=8), 2),
        (_seen(standard=8), 1),
        (_seen(standard=9), 2),
        (_seen(low=16), 1),
        (_seen(low=17), 2),
        (_seen(4, urgent=4, standard=8, low=16), 4),
        (_seen(urgent=100, node=None), 1),
        (Seen({}, NODE), 0),
    ],
)
def test_urgent_jobs_get_room_at_once_others_for_a_part_of_them(seen: Seen, nodes: int) -> None:
    assert needed(seen, {}) == nodes


def test_memory_counts_where_it_is_scarcer() -> None:
    assert needed(Seen({"S1": Queue(Load(2, 1, 3 * 8192))}, NODE), {}) == 3


def test_what_a_mission_may_not_have_at_a_time_needs_no_nodes() -> None:
    seen = Seen({"S1": Queue(waiting={Urgency.URGENT: JOB.part(40)}), "S2": Queue(JOB.part(4))}, NODE)
    assert needed(seen, {}) == 11
    assert needed(seen, {"S1": Load(8, 8, 8 * 1024)}) == 3
    assert needed(seen, {"S1": Load(100, 4, 4 * 1024)}) == 2


def test_it_grows_at_once_but_within_its_bounds() -> None:
    decision = decide(_seen(urgent=12), FREE, 1, Memory(), 1000.0)
    assert decision.nodes == 3
    assert decision.why == "0 jobs run, 12 urgent wait; 3 needed"
    assert decide(_seen(urgent=400), FREE, 1, Memory(), 1000.0).nodes == 5
    assert decide(_seen(), Bounds(2, 5, {}), 2, _steady(0, 0.0), SHRINK_SECONDS).nodes == 2


def _steady(number: int, since: float) -> Memory:
    return Memory(((since, number),))


def test_it_shrinks_to_the_most_that_was_needed_for_a_while() -> None:
    memory, at = Memory(), 0.0
    for at, running in ((0.0, 4), (100.0, 8), (200.0, 1), (SHRINK_SECONDS - 1, 0)):
        decision = decide(_seen(running), FREE, 4, memory, at)
        assert decision.nodes == 4, at
        memory = decision.memory
    # Since 0 s 8 jobs were the most, on nodes that are not quite full.
    assert decide(_seen(0), FREE, 4, memory, SHRINK_SECONDS).nodes == 3
    assert decide(_seen(0), FREE, 4, memory, SHRINK_SECONDS + 100.0).nodes == 3
    # The look at 200 s still holds at 800 s: nobody looked between.
    assert decide(_seen(0), FREE, 4, memory, SHRINK_SECONDS + 200.0).nodes == 1
    assert decide(_seen(0), FREE, 4, memory, 2 * SHRINK_SECONDS).nodes == 0


def test_what_was_not_looked_at_long_enough_is_kept() -> None:
    assert decide(_seen(0), FREE, 4, Memory(), 5000.0).nodes == 4


def test_it_does_not_swing_where_the_load_is_between_two_numbers() -> None:
    # 8 jobs fill two nodes to the brim: enough to stay at three, not a reason to go there.
    assert decide(_seen(8), FREE, 2, _steady(2, 0.0), 1000.0).nodes == 2
    assert decide(_seen(8), FREE, 3, _steady(3, 0.0), 1000.0).nodes == 3
    assert decide(_seen(6), FREE, 3, _steady(2, 0.0), 1000.0).nodes == 2


def test_after_a_change_the_number_stays_for_a_moment_and_what_was_before_is_forgotten() -> None:
    memory = changed(1000.0)
    during = decide(_seen(urgent=20), FREE, 1, memory, 1000.0 + COOL_DOWN_SECONDS - 1)
    assert during.nodes == 1
    assert "changed a moment ago" in during.why
    assert decide(_seen(urgent=20), FREE, 1, during.memory, 1000.0 + COOL_DOWN_SECONDS).nodes == 5
    assert decide(_seen(), FREE, 3, memory, 1000.0 + COOL_DOWN_SECONDS).nodes == 3


def test_memory_does_not_grow() -> None:
    memory = Memory()
    for second in range(0, 5000, 30):
        memory = decide(_seen(1), FREE, 1, memory, float(second)).memory
    assert len(memory.needed) <= SHRINK_SECONDS / 30 + 1
