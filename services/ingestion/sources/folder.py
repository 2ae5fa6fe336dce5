"""A watched directory tree. Links are never followed, neither when listing nor when reading."""

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from refsys.services.common.logs import get_logger
from refsys.services.common.names import shown
from refsys.services.ingestion.errors import ContentError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.paths import UnusablePathError, asked, checked
from refsys.services.ingestion.sources.resume import CHUNK_BYTES
from refsys.services.ingestion.stations import FolderStation

PAGE = 500
FILES_LIMIT = 500_000  # that are younger than the cursor, and directories
_UNFINISHED = (".part", ".tmp")

log = get_logger()


class FolderSource:
    """One directory tree.

    A file is listed once two looks, `settle_seconds` or more apart, found the same size and modification. Its
    publication date is the last change of its inode: a file that is moved into the tree with an old modification
    time is new all the same.
    """

    def __init__(self, station: FolderStation) -> None:
        """Nothing is looked at before the first use."""
        self.station = station
        self._looks: dict[str, tuple[tuple[int, int, int], float]] = {}  # by path: state, and since when it is so
        self._lock = threading.Lock()

    def close(self) -> None:
        """Nothing stays open."""

    def listed(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """Pages of files that changed at or after `since`, in no order."""
        with self._lock:
            start = self.station.start(since)
            page: list[ListedFile] = []
            looks: dict[str, tuple[tuple[int, int, int], float]] = {}
            for path, info in self._files():
                changed = datetime.fromtimestamp(info.st_ctime_ns // 1000 / 1e6, UTC)
                if start is not None and changed < start:
                    continue
                state, now = (info.st_size, info.st_mtime_ns, info.st_ctime_ns), time.monotonic()
                before = self._looks.get(path)
                looks[path] = before if before and before[0] == state else (state, now)
                if len(looks) > FILES_LIMIT:
                    raise StationError(f"station {self.station.name}: over {FILES_LIMIT} new files")
                if before is None or before[0] != state or now - before[1] < self.station.settle_seconds:
                    continue
                page.append(
                    ListedFile(
                        id=path, name=path.rpartition("/")[2], path=path, size=info.st_size, publication_date=changed
                    )
                )
                if len(page) == PAGE:
                    yield page
                    page = []
            self._looks = looks
            if page:
                yield page

    def content(self, file: ListedFile) -> Iterator[bytes]:
        """The bytes of a file; `ContentError` if it is not as it was listed, or changes while it is read."""
        path, name = asked(file.id, self.station.name), self.station.name
        with self._errors(), self._opened(path, os.O_RDONLY) as descriptor:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise StationError(f"station {name}: {shown(path)} is no file any more")
            if file.size is not None and before.st_size != file.size:
                raise ContentError(f"{shown(path)} has {before.st_size} bytes, listed with {file.size}")
            left = before.st_size
            while left and (chunk := os.read(descriptor, min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk
            after = os.fstat(descriptor)
            if left or (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise ContentError(f"{shown(path)} changed while it was read")

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        pending, directories = [""], 1
        while pending:
            directory = pending.pop()
            for name, info in self._entries(directory):
                path = self._path(directory, name)
                if path is None:
                    continue
                if stat.S_ISDIR(info.st_mode):
                    directories += 1
                    pending.append(path)
                elif stat.S_ISREG(info.st_mode) and not name.endswith(_UNFINISHED):
                    yield path, info
                if directories > FILES_LIMIT:
                    raise StationError(f"station {self.station.name}: over {FILES_LIMIT} directories")

    def _entries(self, directory: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            with (
                self._errors(),
                self._opened(directory, os.O_RDONLY | os.O_DIRECTORY) as descriptor,
                os.scandir(descriptor) as entries,
            ):
                for entry in entries:
                    if not entry.name.startswith("."):
                        with suppress(FileNotFoundError):  # moved away since
                            yield entry.name, entry.stat(follow_symlinks=False)
        except _GoneError:
            if not directory:
                raise

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        """A descriptor of a path below the folder, opened part by part so that no link can lead out of it."""
        descriptor = os.open(self.station.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            parts = path.split("/") if path else []
            for number, part in enumerate(parts, 1):
                kind = flags if number == len(parts) else os.O_RDONLY | os.O_DIRECTORY
                deeper = os.open(part, kind | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = deeper
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _GoneError(f"station {self.station.name}: {error.strerror}: {shown(str(error.filename))}") from None
        except OSError as error:
            what = f"{error.strerror}: {shown(str(error.filename))}; check url and permissions"
            raise StationError(f"station {self.station.name}: {what}") from error

    def _path(self, directory: str, name: str) -> str | None:
        path = f"{directory}/{name}" if directory else name
        try:
            return checked(path)
        except UnusablePathError as error:
            log.error("station lists an unusable file", station=self.station.name, file=shown(path), reason=str(error))
            return None


class _GoneError(StationError):
    """A file or directory is no longer there."""
