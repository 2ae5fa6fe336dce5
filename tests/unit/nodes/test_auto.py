"""The rule is applied: the pool grows, and shrinks by nodes whose jobs have ended."""

from typing import Any

import pytest
import yaml
from tests.unit.nodes.conftest import Cluster, World

from refsys.infra import environment as environments
from refsys.infra.errors import UserError
from refsys.infra.scaling import auto
from refsys.infra.scaling.rule import SHRINK_SECONDS, Load, Queue, Seen
from refsys.infra.scaling.seen import Pool

JOB = Load(1, 1, 1024)


class Clock:
    """Time, and what is seen at it."""

    def __init__(self) -> None:
        self.now = 10_000.0
        self.running = 0
        self.jobs: dict[str, int] = {}

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(world: World, monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()

    def scale(name: str, pool: str, count: int, console: object, *, verbose: bool = False) -> None:
        world.done.append(f"scale {pool} {count}")
        _configure(count)
        world.machines = ["cp1", "w1", *(f"p{number}" for number in range(1, count + 1))]

    def look(_: object) -> Pool:
        return Pool(Seen({"S1": Queue(JOB.part(found.running))}, Load(0, 4, 8192)), found.jobs, ())

    monkeypatch.setattr(auto, "time", found)
    monkeypatch.setattr(auto, "scale", scale)
    monkeypatch.setattr(auto, "look", look)
    monkeypatch.setattr(auto, "Members", lambda _: Cluster(world))
    _configure(1)
    world.machines = ["cp1", "w1", "p1"]
    return found


def _configure(count: int) -> None:
    bounds: dict[str, Any] = {"min": 0, "max": 3, "nodes": count, "memory_mib": 2048, "cpus": 1}
    document = {"config": {"refsys:local": {"processing": bounds}}}
    environments.config_file("t").write_text(yaml.safe_dump(document))


def test_it_grows_and_shrinks_after_a_while_and_remembers_from_one_call_to_the_next(world: World, clock: Clock) -> None:
    clock.running = 8
    assert auto.step("t", world.console).startswith("2 nodes: 8 jobs run")
    clock.running, clock.now = 0, clock.now + 100
    auto.step("t", world.console)
    assert world.done == ["scale processing 2"]
    clock.now += SHRINK_SECONDS
    told = auto.step("t", world.console)
    assert world.done == ["scale processing 2", "let go p1", "let go p2", "scale processing 0"]
    assert "0 were enough for 10 min" in told


def test_a_node_with_jobs_takes_no_new_ones_and_stays_until_they_have_ended(world: World, clock: Clock) -> None:
    _configure(3)
    world.machines = ["cp1", "w1", "p1", "p2", "p3"]
    auto.step("t", world.console)
    clock.now += SHRINK_SECONDS
    clock.jobs = {"p2": 1}
    told = auto.step("t", world.console)
    assert world.done == ["let go p1", "let go p2", "let go p3", "scale processing 2"]
    assert "p2 take no new jobs, and go when theirs have ended" in told


def test_nodes_that_were_to_leave_are_taken_back_before_new_ones_are_made(world: World, clock: Clock) -> None:
    world.leaving = {"p1"}
    clock.running = 3
    assert auto.step("t", world.console).startswith("1 node: 3 jobs run")
    assert world.done == ["take back p1"]


def test_without_such_a_pool_it_is_told_how_to_have_one(world: World) -> None:
    with pytest.raises(UserError, match="has no pool whose number of nodes follows") as error:
        auto.step("t", world.console)
    assert "add one to refsys:local" in error.value.fix
