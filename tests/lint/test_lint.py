"""Style, types and shape of all code, by tools that others wrote."""

import subprocess
import sys
from pathlib import Path

import pytest

from refsys.infra import paths
from refsys.security.scans import secrets

BIN = Path(sys.executable).parent
COMMANDS = {
    "ruff": ["ruff", "check", "."],
    "ruff-format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "yamllint": ["yamllint", "--strict", "."],
    "ansible-lint": ["ansible-lint", "--offline", "--profile", "production", "--strict", "-q"],
}


def test_no_secrets_beyond_those_that_were_looked_at() -> None:
    assert not secrets.examine().findings, "docs/security/supply-chain.md says what to do"


@pytest.mark.parametrize("name", COMMANDS)
def test_clean(name: str) -> None:
    command = COMMANDS[name]
    done = subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=paths.CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
