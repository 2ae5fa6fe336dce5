"""The real engine makes named resources anew, leaves others, and writes numbers into a config with comments."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from tests.means import places

from refsys.infra import paths
from refsys.infra.cli import engine
from refsys.infra.cli import stack as stacks
from refsys.infra.cli.steps import Steps

NAME = "t-small"
YAML = """\
name: small
main: program
runtime: python
options: {refresh: always}
"""
PROGRAM = """\
import json
import pulumi
from tests.means.places import Place

made = {name: Place(name, place) for name, place in json.loads(PLACES).items()}
pulumi.export("urns", {name: place.urn for name, place in made.items()})
pulumi.export("numbers", {name: place.number for name, place in made.items()})
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


class Project:
    """A checkout with a small program in place of the environment's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.places = folder / "checkout", folder / "places"
        self.places.mkdir()
        (self.folder / "program").mkdir(parents=True)
        (self.folder / "Pulumi.yaml").write_text(YAML)
        for name in (".venv", "src", "tests"):
            (self.folder / name).symlink_to(paths.CHECKOUT / name)
        monkeypatch.setattr(paths, "CHECKOUT", self.folder)
        monkeypatch.setenv("REFSYS_HOME", str(folder / "home"))
        for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_CONFIG_PASSPHRASE"):
            monkeypatch.delenv(name, raising=False)
        variables = engine.variables

        def with_tests() -> dict[str, str]:
            found = variables()
            more = {"PYTHONPATH": f"{found['PYTHONPATH']}:{self.folder}", places.FOLDER: str(self.places)}
            return found | more

        monkeypatch.setattr(engine, "variables", with_tests)
        # What a stack sets is set back after the test.
        for name, value in with_tests().items():
            monkeypatch.setenv(name, value)

    def found(self) -> set[str]:
        """The places that there are."""
        return {each.name for each in self.places.iterdir()}

    def stack(self, **places: str) -> stacks.Stack:
        """The stack, with places by name."""
        program = PROGRAM.replace("PLACES", repr(json.dumps(places)))
        (self.folder / "program" / "__main__.py").write_text(program)
        return stacks.Stack(NAME, Steps(Console(width=160)), program=self.folder)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


def test_one_is_made_anew_and_what_is_excluded_stays_whatever_has_changed(project: Project) -> None:
    stack = project.stack(a="a1", b="b1")
    stack.up()
    before = stack.outputs()
    urns = before["urns"]

    stack.up(replace=[urns["a"]], exclude=[urns["b"]])
    after = stack.outputs()
    assert after["numbers"]["a"] != before["numbers"]["a"]
    assert after["numbers"]["b"] == before["numbers"]["b"]
    assert project.found() == {"a1", "b1"}

    stack = project.stack(a="a1", b="b2", c="c1")
    assert stack.outdated(urns.values()) == {urns["b"]}
    stack.up(replace=[urns["a"]], exclude=[urns["b"]])
    assert project.found() == {"a1", "b1", "c1"}

    project.stack(b="b2").up(exclude=[urns["b"]])
    assert project.found() == {"b1"}


def test_a_number_is_written_and_the_rest_of_the_config_stays(project: Project) -> None:
    stack: stacks.Stack = project.stack(a="a1")
    file: Path = project.folder / "Pulumi.t-small.yaml"
    file.write_text(CONFIG)
    stack.configure("local.workers", 3)
    assert file.read_text() == CONFIG.replace("workers: 2", "workers: 3")
    stack.configure("local.processing.nodes", 1)
    assert "two are enough" in file.read_text()
    assert "secure: v1:abc" in file.read_text()
    stack.configure("existing.pools[0].nodes", 4)
    assert "{name: w, nodes: 4}" in file.read_text()
