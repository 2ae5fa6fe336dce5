"""Pools grow and shrink; what leaves is emptied before anything else is touched."""

import pytest
import yaml
from tests.unit.nodes.conftest import World

from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.nodes.change import pool_of
from refsys.infra.nodes.scale import _path, _set, resized, scale


def test_a_pool_grows_and_no_other_machine_is_touched(world: World) -> None:
    scale("t", "w", 5, world.console)
    assert world.done == ["set local.workers 5", "up replace", "ready w4", "ready w5", "well"]
    assert "pool w of t has 5 nodes (w1, w2, w3, w4, w5)" in world.output.getvalue()


def test_what_leaves_is_emptied_first_and_alone(world: World) -> None:
    scale("t", "w", 1, world.console)
    assert world.done == ["drain w2", "drain w3", "set local.workers 1", "up w2 w3 replace", "well"]


def test_a_node_that_can_not_be_emptied_leaves_everything_as_it_was(world: World) -> None:
    world.stuck = {"w3"}
    with pytest.raises(UserError, match="w3 could not be emptied"):
        scale("t", "w", 1, world.console)
    assert world.done == ["drain w2", "drain w3", "uncordon w2", "uncordon w3"]


def test_a_node_that_does_not_answer_is_not_waited_for(world: World) -> None:
    world.away = {"w3"}
    scale("t", "w", 2, world.console)
    assert world.done == ["set local.workers 2", "up w3 replace", "well"]


def test_a_node_with_volumes_does_not_leave(world: World) -> None:
    world.claims = {"w2": ["infra/kafka"]}
    with pytest.raises(UserError, match="w2 holds the volumes of infra/kafka, which would be lost"):
        scale("t", "w", 1, world.console)
    assert world.done == []


def test_the_same_number_again_does_nothing_but_goes_on_with_what_is_missing(world: World) -> None:
    scale("t", "w", 3, world.console)
    assert world.done == []
    assert "has 3 nodes (w1, w2, w3) already" in world.output.getvalue()
    world.machines.remove("w3")
    scale("t", "w", 3, world.console)
    assert world.done == ["set local.workers 3", "up replace", "ready w3", "well"]
    world.away = {"w2"}
    world.done.clear()
    scale("t", "w", 3, world.console)
    assert world.done[1:3] == ["up w2 replace", "ready w2"]


def test_more_than_the_policies_allow_is_not_made_and_the_config_is_as_before(world: World) -> None:
    world.file.write_text(yaml.safe_dump({"config": {"refsys:local": {"workers": 3}, "refsys:limits": {"nodes": 4}}}))
    world.previewed = ["cp1", "w1", "w2", "w3", "w4"]
    with pytest.raises(UserError, match="5 nodes, 4 are allowed"):
        scale("t", "w", 4, world.console)
    assert world.done == ["set local.workers 4", "preview replace", "set local.workers 3"]
    world.done.clear()
    scale("t", "w", 2, world.console)
    assert world.done == ["drain w3", "set local.workers 2", "up w3 replace", "well"]


def test_where_there_is_no_cluster_yet_nothing_is_emptied(world: World) -> None:
    world.until = "infrastructure"
    scale("t", "w", 2, world.console)
    assert world.done == ["set local.workers 2", "up w3 replace"]


@pytest.mark.parametrize(
    ("pool", "count", "why"),
    [
        ("w", 0, "pool w can't have 0 nodes: Input should be greater than or equal to 1"),
        ("w", 100, "pool w can't have 100 nodes"),
        ("cp", 3, "number of nodes in pool cp can't be changed"),
        ("x", 3, "has no pool 'x'"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_touched(world: World, pool: str, count: int, why: str) -> None:
    with pytest.raises(UserError, match=why):
        scale("t", pool, count, world.console)
    assert world.done == []


def test_another_number_changes_nothing_else_of_an_environment() -> None:
    environment = Environment.parse("t", {"domain": "x.test", "alerts": {"webhook": "https://a.test/x"}})
    found = resized(environment, pool_of(environment, "w"), 4)
    assert found.local.workers == 4
    assert found.model_copy(update={"local": environment.local}) == environment


def test_the_pool_of_jobs_stays_in_its_bounds() -> None:
    bounds = {"min": 1, "max": 3, "memory_mib": 2048, "cpus": 1}
    environment = Environment.parse("t", {"local": {"processing": bounds}})
    pool = pool_of(environment, "processing")
    assert list(pool.names) == ["p1"]
    assert pool_of(resized(environment, pool, 3), "processing").names == ["p1", "p2", "p3"]
    with pytest.raises(UserError, match="here from 1 to 3"):
        resized(environment, pool, 0)


def test_pools_in_a_list_of_the_config_have_their_number_there() -> None:
    values = {"x": {"pools": [{"count": 1}, {"count": 1}]}}
    _set(values, _path("x.pools[1].count"), 4)
    assert values == {"x": {"pools": [{"count": 1}, {"count": 4}]}}
    with pytest.raises(UserError, match=r"does not have refsys:x.pools\[2\].count, only the default has"):
        _set(values, _path("x.pools[2].count"), 4)
