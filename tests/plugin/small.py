"""A small program of its own under the command line's `Stack`, which the real engine runs."""

from pathlib import Path

import pytest
from rich.console import Console
from tests.means import things

from refsys.infra import paths, shell
from refsys.infra.cli import engine
from refsys.infra.cli import stack as stacks
from refsys.infra.cli.steps import Steps

PROJECT = """\
name: small
main: program
runtime: python
options: {refresh: always}
"""
HEAD = """\
import pulumi
from tests.means.things import Pair, Thing
"""


class Small:
    """A project in a folder; its program is the text that was written last."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.project = folder / "project"
        self.things = folder / "things"
        self.things.mkdir(parents=True)
        (self.project / "program").mkdir(parents=True)
        (self.project / "Pulumi.yaml").write_text(PROJECT)
        variables = engine.variables

        def with_tests() -> dict[str, str]:
            found = variables()
            return found | {"PYTHONPATH": f"{found['PYTHONPATH']}:{paths.CHECKOUT}"}

        monkeypatch.setattr(engine, "variables", with_tests)
        monkeypatch.setenv("REFSYS_HOME", str(folder / "home"))
        monkeypatch.setenv(things.FOLDER, str(self.things))
        for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_CONFIG_PASSPHRASE"):
            monkeypatch.delenv(name, raising=False)
        # What a stack sets is set back after the test.
        for name, value in (with_tests() | {"PULUMI_EXPERIMENTAL": "", "PULUMI_SKIP_CHECKPOINTS": ""}).items():
            monkeypatch.setenv(name, value)

    def stack(self, program: str) -> stacks.Stack:
        """The stack, with that program."""
        (self.project / "program" / "__main__.py").write_text(HEAD + program)
        return stacks.Stack("t-small", Steps(Console(width=160)), program=self.project)

    def exported(self) -> str:
        """The stack's state; secrets stay encrypted."""
        return shell.run("pulumi", "stack", "export", "--stack", "t-small", cwd=self.project)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    return Small(tmp_path, monkeypatch)
