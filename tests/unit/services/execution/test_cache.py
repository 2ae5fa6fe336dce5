"""A node's inputs: made once, kept while they are used, the least used given up."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from refsys.services.execution.cache import Cache


def filler(content: bytes, made: list[str]) -> "Fill":
    return Fill(content, made)


class Fill:
    """Makes a file, slowly, and tells of it."""

    def __init__(self, content: bytes, made: list[str], seconds: float = 0) -> None:
        self.content, self.made, self.seconds = content, made, seconds

    def __call__(self, path: Path) -> None:
        time.sleep(self.seconds)
        path.write_bytes(self.content)
        self.made.append(path.name)


def test_a_file_is_made_once_whoever_asks_at_the_same_time(tmp_path: Path) -> None:
    made: list[str] = []
    found: list[Path | None] = []

    def ask() -> None:
        with Cache(tmp_path, 1000) as cache:
            found.append(cache.file("identity", "name.EOF", 3, Fill(b"abc", made, 0.05)))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and len(set(found)) == 1
    assert found[0] and found[0].name == "name.EOF" and found[0].read_bytes() == b"abc"
    assert not os.access(found[0], os.W_OK) or os.geteuid() == 0


def test_what_is_used_stays_and_the_least_used_goes_first(tmp_path: Path) -> None:
    made: list[str] = []
    with Cache(tmp_path, 30) as holder:
        held = holder.file("held", "held", 10, Fill(bytes(10), made))
        with Cache(tmp_path, 30) as cache:
            old = cache.file("old", "old", 10, Fill(bytes(10), made))
            new = cache.file("new", "new", 10, Fill(bytes(10), made))
        assert held and old and new
        for age, path in ((300, held), (200, old), (100, new)):
            os.utime(path.parent, (time.time() - age,) * 2)
        with Cache(tmp_path, 30) as cache:
            assert cache.file("more", "more", 10, Fill(bytes(10), made))
            assert (held.exists(), old.exists(), new.exists()) == (True, False, True)
            assert cache.file("large", "large", 15, Fill(bytes(15), made)) is None  # the rest is in use
            assert cache.file("larger than all", "x", 31, Fill(bytes(31), made)) is None
    with Cache(tmp_path, 30) as cache:
        assert cache.file("all", "all", 30, Fill(bytes(30), made))
    assert [path.name for path in tmp_path.glob("*/*")] == ["all"]


def test_who_fails_or_is_killed_leaves_nothing_that_is_taken_for_a_file(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("no more")

    with Cache(tmp_path, 100) as cache, pytest.raises(OSError, match="no more"):
        cache.file("identity", "name", 8, fail)
    program = (
        "import os, sys; from pathlib import Path; from refsys.services.execution.cache import Cache\n"
        "def fill(path): path.write_bytes(b'half'); os._exit(1)\n"
        "Cache(Path(sys.argv[1]), 100).file('identity', 'name', 8, fill)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, tmp_path], env={"PYTHONPATH": os.pathsep.join(sys.path)}, check=False
    )
    assert [path.name for path in tmp_path.glob("*/*")] == [".partial"]
    made: list[str] = []
    with Cache(tmp_path, 100) as cache:
        path = cache.file("identity", "name", 8, Fill(b"complete", made))
        assert path and path.read_bytes() == b"complete"
    assert [path.name for path in tmp_path.glob("*/*")] == ["name"]
