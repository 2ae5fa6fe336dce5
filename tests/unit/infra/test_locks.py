"""Who holds a stack's state, and which locks were left behind."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from refsys.infra.cli import locks

SAID = """
error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.
  s3://state/.pulumi/locks/organization/refsys/prod/1.json: created by anna@ops-1 (pid 4711) at 2026-11-23T08:12:03Z
"""  # noqa: E501 - as the engine writes it


@contextmanager
def engine(**variables: str) -> Iterator[int]:
    """A process that looks like an engine, with the variables and those of the tests, but for a command's."""
    others = {name: value for name, value in os.environ.items() if name != locks.COMMAND}
    process = subprocess.Popen(["pulumi", "60"], executable="/bin/sleep", env=others | variables)
    try:
        while not Path(f"/proc/{process.pid}/environ").read_bytes():  # for a moment after it was started
            time.sleep(0.01)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def lock(pid: int, host: str = "") -> locks.Lock:
    return locks.Lock("root", host or socket.gethostname(), pid, "2026-11-23T08:12:03Z")


def test_what_the_engine_says_is_told_with_who_since_when_and_the_way_out() -> None:
    (held,) = locks.told(SAID)
    assert (held.user, held.host, held.pid, held.since) == ("anna", "ops-1", 4711, "2026-11-23T08:12:03Z")
    text = str(locks.refusal("prod", [held]))
    for part in ("anna on ops-1, process 4711, since 2026-11-23T08:12:03Z", "wait until", "./refsys state unlock prod"):
        assert part in text
    assert locks.told("error: no such thing") == []


def test_a_lock_is_left_behind_with_its_engine_or_with_the_command_that_started_it() -> None:
    assert lock(ended()).is_left_behind
    with engine(**{locks.COMMAND: str(ended())}) as pid:
        assert lock(pid).is_left_behind


def test_a_lock_of_a_working_engine_is_not_ours_to_take() -> None:
    assert not lock(ended(), host="elsewhere").is_left_behind
    with engine(**{locks.COMMAND: str(os.getpid())}) as pid:
        assert not lock(pid).is_left_behind
    with engine() as pid:
        variables = Path(f"/proc/{pid}/environ").read_bytes()
        assert locks.COMMAND.encode() not in variables, "this one is started by hand"
        assert not lock(pid).is_left_behind


def test_locks_are_read_from_the_file_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".pulumi" / "locks" / "organization" / "refsys" / "x"
    folder.mkdir(parents=True)
    content = {"pid": 7, "username": "anna", "hostname": "here", "timestamp": "2026-11-23T08:12:03Z"}
    (folder / "1.json").write_text(json.dumps(content))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    (held,) = locks.of_files("x")
    assert (held.user, held.host, held.pid, held.file) == ("anna", "here", 7, folder / "1.json")
    assert locks.of_files("y") == []
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://state")
    assert locks.of_files("x") == []
