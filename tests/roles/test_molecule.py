"""Each role group on nodes of its own: syntax, check mode, converge, idempotence, verify, nothing left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from refsys.infra import paths

SCENARIOS = sorted(path.parent.name for path in (paths.CHECKOUT / "molecule").glob("*/molecule.yml"))
LONG = {"wazuh"}
"""Those that only `./refsys test all` runs."""


@pytest.mark.parametrize(
    "scenario", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in SCENARIOS]
)
@pytest.mark.timeout(1800)
def test_scenario(scenario: str) -> None:
    molecule = Path(sys.executable).with_name("molecule")
    command = [str(molecule), "test", "--scenario-name", scenario, "--destroy", "always"]
    # Molecule calls Ansible's programs by name.
    variables = os.environ | {"PATH": os.pathsep.join([str(molecule.parent), os.environ["PATH"]])}
    done = subprocess.run(
        command,
        cwd=paths.CHECKOUT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20000:]


def test_there_are_scenarios() -> None:
    assert SCENARIOS
