"""What tests need from package registries: fetched once into the cache, by one process while others wait."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

from refsys.infra import paths


def fetched(name: str, fetch: Callable[[Path], object]) -> Path:
    """The folder `name` of the tests' cache; `fetch` fills it where it is not there, whole or not at all.

    One lock for everything: Maven's own repository does not bear several processes.
    """
    folder = paths.cache() / "tests" / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            part = folder.with_name(f"{name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            fetch(part)
            part.rename(folder)
    return folder
