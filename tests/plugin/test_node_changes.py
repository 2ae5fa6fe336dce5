"""The real engine makes named resources anew, leaves others, and writes numbers into a config with comments."""

from pathlib import Path

from tests.plugin.small import Small, small

from refsys.infra.cli import stack as stacks

__all__ = ["small"]

TWO = """
two = {{name: Thing(name, place, "red", pulumi.ResourceOptions(delete_before_replace=True)) for name, place in {places}.items()}}
pulumi.export("urns", {{name: thing.urn for name, thing in two.items()}})
pulumi.export("numbers", {{name: thing.number for name, thing in two.items()}})
"""
CONFIG = """\
# what this is for
encryptionsalt: v1:x
config:
  refsys:users: # people
    - {name: anna, note: "a # b"}
  refsys:local: {workers: 2} # two are enough
  refsys:alerts:
    webhook:
      secure: v1:abc
  # the end
  refsys:existing:
    pools:
      # the big ones
      - {name: w, nodes: 1}
"""


def _program(**places: str) -> str:
    return TWO.format(places=places)


def test_one_is_made_anew_and_what_is_excluded_stays_whatever_has_changed(small: Small) -> None:
    stack = small.stack(_program(a="a1", b="b1"))
    stack.up()
    before = stack.outputs()
    urns = before["urns"]
    assert stack.outdated(urns.values()) == set()

    stack.up(replace=[urns["a"]], exclude=[urns["b"]])
    after = stack.outputs()
    assert after["numbers"]["a"] != before["numbers"]["a"]
    assert after["numbers"]["b"] == before["numbers"]["b"]

    stack = small.stack(_program(a="a2", b="b2"))
    assert stack.outdated(urns.values()) == set(urns.values())
    assert stack.outdated([urns["b"]]) == {urns["b"]}
    stack.up(replace=[urns["a"]], exclude=[urns["b"]])
    assert {each.name for each in small.things.iterdir()} == {"a2", "b1"}
    assert stack.outdated(urns.values()) == {urns["b"]}


def test_one_more_and_one_fewer_leave_what_is_excluded(small: Small) -> None:
    small.stack(_program(a="a1")).up()
    stack = small.stack(_program(a="a2", b="b1"))
    stack.up(exclude=[stack.outputs()["urns"]["a"]])
    assert {each.name for each in small.things.iterdir()} == {"a1", "b1"}
    stack = small.stack(_program(a="a2"))
    stack.up(exclude=[stack.outputs()["urns"]["a"]])
    assert {each.name for each in small.things.iterdir()} == {"a1"}


def test_a_number_is_written_and_the_rest_of_the_config_stays(small: Small) -> None:
    stack: stacks.Stack = small.stack(_program(a="a1"))
    file: Path = small.project / "Pulumi.t-small.yaml"
    file.write_text(CONFIG)
    stack.configure("local.workers", 3)
    assert file.read_text() == CONFIG.replace("workers: 2", "workers: 3")
    stack.configure("local.processing.nodes", 1)
    assert "two are enough" in file.read_text()
    assert "secure: v1:abc" in file.read_text()
    stack.configure("existing.pools[0].nodes", 4)
    assert "{name: w, nodes: 4}" in file.read_text()
