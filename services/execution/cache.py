"""Inputs that lie on the node already: a folder that all jobs of a node share, each file in it by what it is.

An entry is a folder, and its lock: who uses it holds the lock until the end of its process, however that ends. Who
needs room removes what was not used for longest and nobody holds. Nothing else is shared, so that runners which are
killed leave nothing that would have to be mended.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_PARTIAL = ".partial"
_ROOM = ".room"


class Cache:
    """A node's inputs, at most `limit` octets. What it hands out stays until the cache is closed."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Use a folder that is there."""
        self._folder = folder
        self._limit = limit
        self._held: list[int] = []

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give everything back."""
        while self._held:
            os.close(self._held.pop())

    def file(self, identity: str, name: str, size: int, fill: Callable[[Path], None]) -> Path | None:
        """Return the file of an identity, made by `fill` if it isn't there; None if there is no room for it.

        Two that ask at the same time, in one process or in several, wait for each other: it is made once.
        """
        entry = self._folder / hashlib.sha256(identity.encode()).hexdigest()
        path = entry / name
        while True:
            lock = self._lock(entry)
            try:
                if not path.exists():
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    if _is(entry, lock) and not path.exists() and not self._make(path, size, fill):
                        with suppress(OSError):
                            entry.rmdir()
                        os.close(lock)
                        return None
                    fcntl.flock(lock, fcntl.LOCK_SH)
                # A lock that changes its kind is nobody's for a moment: it may be gone.
                if _is(entry, lock) and path.exists():
                    os.utime(entry)
                    self._held.append(lock)
                    return path
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)

    @staticmethod
    def _lock(entry: Path) -> int:
        while True:
            entry.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                lock = os.open(entry, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(lock, fcntl.LOCK_SH)
                return lock

    def _make(self, path: Path, size: int, fill: Callable[[Path], None]) -> bool:
        partial = path.with_name(_PARTIAL)
        if not self._reserve(partial, size):
            return False
        try:
            fill(partial)
            partial.chmod(0o444)
            partial.rename(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return True

    def _reserve(self, partial: Path, size: int) -> bool:
        """Make room, and take it at once: others see a file of its whole length."""
        if size > self._limit:
            return False
        with self._alone():
            partial.unlink(missing_ok=True)
            entries = sorted(self._entries(), key=lambda entry: entry[0])
            used = sum(octets for _, octets, _ in entries)
            for _, octets, entry in entries:
                if used + size <= self._limit:
                    break
                if entry != partial.parent and _remove(entry):
                    used -= octets
            if used + size > self._limit:
                return False
            with partial.open("wb") as file:
                file.truncate(size)
        return True

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        for entry in self._folder.iterdir():
            with suppress(FileNotFoundError, NotADirectoryError):
                octets = sum(file.stat().st_size for file in entry.iterdir())
                yield entry.stat().st_mtime, octets, entry

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._folder / _ROOM).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _is(entry: Path, lock: int) -> bool:
    """Whether a lock is that of the entry, and not of one before it that was removed."""
    try:
        return os.path.samestat(entry.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False


def _remove(entry: Path) -> bool:
    """Remove an entry unless somebody holds it."""
    try:
        lock = os.open(entry, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(entry)
        return True
    finally:
        os.close(lock)
