"""A provider ends with its engine, whenever the engine is killed."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

PROVIDER = """
import os, pathlib, sys, time
from refsys.infra import orphan
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(float(sys.argv[2]))
orphan._watch(orphan._parent(os.getppid()))
"""
# As the engine does it: a shell in a process group of its own, which starts the provider and waits for it.
ENGINE = """
import subprocess, sys, time
subprocess.Popen(["/bin/sh", "-c", '"$@"; true', "sh", sys.executable, "-c", *sys.argv[1:]], process_group=0)
time.sleep(60)
"""


@pytest.mark.parametrize("delay", ["0", "1"], ids=["after it looked for it", "before"])
def test_a_killed_engine_takes_its_provider_along(tmp_path: Path, delay: str) -> None:
    file = tmp_path / "pid"
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, PROVIDER, str(file), delay])
    while not (file.exists() and file.read_text()):
        time.sleep(0.05)
    provider = int(file.read_text())
    time.sleep(0.5)
    engine.kill()
    engine.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{provider}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{provider}").exists()
