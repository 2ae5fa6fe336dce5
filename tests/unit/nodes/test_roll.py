"""Nodes are made anew one at a time; the first failure stops, and the same command goes on."""

import pytest
import yaml
from tests.unit.nodes.conftest import World

from refsys.infra.errors import UserError
from refsys.infra.nodes.roll import replace, roll

ANEW_W2 = ["drain w2", "up w2 replace urn:w2", "ready w2 other than uid-w2", "well"]
ANEW_W3 = [line.replace("w2", "w3") for line in ANEW_W2]


def test_a_node_is_emptied_replaced_and_waited_for(world: World) -> None:
    replace("t", "w2", world.console)
    assert world.done == ANEW_W2


def test_a_node_that_does_not_answer_is_replaced_without_being_emptied(world: World) -> None:
    world.away = {"w2"}
    replace("t", "w2", world.console)
    assert world.done == ANEW_W2[1:]


@pytest.mark.parametrize(
    ("node", "why"),
    [
        ("w1", "w1 holds the volumes of database/postgresql, which would be lost: it is not made anew"),
        ("cp1", "cp1 is of the control plane"),
        ("w9", "has no node 'w9'"),
    ],
)
def test_what_can_not_be_made_anew_is_left(world: World, node: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        replace("t", node, world.console)
    assert world.done == []


def test_a_machine_that_somebody_else_made_is_left(world: World) -> None:
    world.machines.remove("w3")
    with pytest.raises(UserError, match="was not made by this environment"):
        replace("t", "w3", world.console)


def test_where_volumes_outlive_their_node_it_is_made_anew(world: World) -> None:
    world.keeps_volumes = True
    replace("t", "w1", world.console)
    assert world.done[0] == "drain w1"


def test_a_machine_that_the_policies_do_not_allow_is_not_made(world: World) -> None:
    world.file.write_text(yaml.safe_dump({"config": {"refsys:local": {"workers": 3}, "refsys:limits": {"vcpus": 3}}}))
    world.previewed, world.outdated = ["w1", "w2"], ["w2", "w3"]
    with pytest.raises(UserError, match=r"(?s)stopped at w2.*4 processors, 3 are allowed"):
        roll("t", "w", world.console)
    assert world.done == ["preview replace urn:w2"]


def test_only_nodes_that_have_changed_are_rolled_one_at_a_time(world: World) -> None:
    world.outdated = ["w2", "w3", "cp1"]
    roll("t", "w", world.console)
    assert world.done == [*ANEW_W2, *ANEW_W3]
    assert "w2, w3 made anew" in world.output.getvalue()
    world.done.clear()
    roll("t", "w", world.console)
    assert world.done == []
    assert "no node had to be made anew" in world.output.getvalue()


def test_the_first_failure_stops_and_the_next_call_goes_on(world: World) -> None:
    world.outdated, world.broken = ["w2", "w3"], {"w3"}
    with pytest.raises(UserError, match=r"(?s)stopped at w3: no room for w3.*made anew: w2; still to do: w3") as error:
        roll("t", "w", world.console)
    assert "make room" in error.value.fix
    assert "./refsys node roll w t, which goes on with w3" in error.value.fix
    world.broken.clear()
    world.done.clear()
    roll("t", "w", world.console)
    assert world.done == ANEW_W3


def test_a_node_that_was_made_anew_but_is_not_back_comes_first(world: World) -> None:
    world.outdated, world.away = ["w3"], {"w2"}
    roll("t", "w", world.console)
    assert world.done == ["up w2 replace", "ready w2", "well", *ANEW_W3]


def test_nothing_is_rolled_where_the_environment_is_not_well(world: World) -> None:
    world.outdated, world.well = ["w2"], False
    with pytest.raises(UserError, match="is not well, so no node is made anew"):
        roll("t", "w", world.console)
    assert world.done == []


def test_a_node_with_volumes_is_left_the_others_are_rolled_and_it_is_told(world: World) -> None:
    world.outdated = ["w1", "w2"]
    roll("t", "w", world.console)
    assert world.done == ANEW_W2
    assert "w1 stays as it was made: it holds volumes, which would be lost" in world.output.getvalue()


def test_the_control_plane_is_not_rolled(world: World) -> None:
    with pytest.raises(UserError, match="cp1 is of the control plane"):
        roll("t", "cp", world.console)
