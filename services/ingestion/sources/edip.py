"""Client of EDRS stations: a tree over FTPS at a primary and a backup site (reference-system.md §3.3)."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from pydantic import AnyUrl

from refsys.services.common.logs import get_logger
from refsys.services.common.messages import utc_now
from refsys.services.common.names import shown
from refsys.services.common.settings import secret
from refsys.services.ingestion.errors import StationBusyError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.ftplist import FtpEntry, UnusableLineError, list_entry, mlsd_entry
from refsys.services.ingestion.sources.ftps import FtpsConnection, MissingError, UnsupportedError
from refsys.services.ingestion.sources.pages import pages
from refsys.services.ingestion.sources.paths import asked, checked, session_of
from refsys.services.ingestion.sources.resume import after, resumed
from refsys.services.ingestion.stations import EdipStation

PAGE = 500
DIRECTORIES_LIMIT = 100_000
FILES_LIMIT = 5_000_000
BACKUP_SECONDS = 60.0  # for how long the primary site is left alone when it did not answer

log = get_logger()


class EdipSource:
    """One station; it keeps control connections for the next use, `connections` of them at the most."""

    def __init__(self, station: EdipStation) -> None:
        """Nothing is requested before the first use."""
        self.station = station
        self._places = threading.BoundedSemaphore(station.connections + 1)  # one more, for listing
        self._idle: list[FtpsConnection] = []
        self._lock = threading.Lock()
        self._mlsd = True
        self._backup_until = 0.0

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def listed(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """Pages of files that were modified at or after `since`, in the order of the directories.

        Lines that can't be read are left out and logged; they must not hold back the others.
        """
        files = (self._file(path, entry) for path, entry in self._files())
        return pages(files, self.station.start(since), PAGE)

    def content(self, file: ListedFile) -> Iterator[bytes]:
        """The bytes of a file; a broken connection is resumed where it broke."""
        path = asked(file.id, self.station.name)
        return resumed(lambda position: self._bytes_from(path, position), file.size, self.station.name)

    def _bytes_from(self, path: str, position: int) -> Iterator[bytes]:
        with self._connection() as connection:
            if connection.rests or not position:
                try:
                    yield from connection.bytes_from(path, position)
                except (UnsupportedError, MissingError):  # of REST
                    if not position:
                        raise
                    connection.rests = False
                else:
                    return
            yield from after(position, connection.bytes_from(path, 0))

    def _files(self) -> Iterator[tuple[str, FtpEntry]]:
        pending = list(reversed(self.station.directories))
        directories, files = set(pending), 0
        while pending:
            directory = pending.pop()
            for entry in self._entries(directory):
                path = self._path(directory, entry.name)
                if path is None:
                    continue
                if not entry.directory:
                    files += 1
                    yield path, entry
                elif path not in directories:
                    directories.add(path)
                    pending.append(path)
                if len(directories) > DIRECTORIES_LIMIT or files > FILES_LIMIT:
                    raise StationError(
                        f"station {self.station.name}: the tree has over {DIRECTORIES_LIMIT} directories "
                        f"or {FILES_LIMIT} files; set directories to smaller ones"
                    )

    def _entries(self, directory: str) -> Iterator[FtpEntry]:
        with self._connection() as connection:
            try:
                if self._mlsd:
                    try:
                        yield from self._read(connection, "MLSD", directory)
                    except UnsupportedError as error:
                        log.info("station has no MLSD, reading LIST", station=self.station.name, reason=str(error))
                        self._mlsd = False
                if not self._mlsd:
                    yield from self._read(connection, "LIST", directory)
            except MissingError as error:
                log.warning("station has no such directory", station=self.station.name, reason=str(error))

    def _read(self, connection: FtpsConnection, command: str, directory: str) -> Iterator[FtpEntry]:
        now = utc_now()
        for line in connection.lines(command, directory):
            try:
                text = line.decode()
                entry = mlsd_entry(text) if command == "MLSD" else list_entry(text, now)
            except (UnusableLineError, UnicodeDecodeError) as error:
                self._left_out(line.decode(errors="replace"), error)
                continue
            if entry is not None:
                yield entry

    def _path(self, directory: str, name: str) -> str | None:
        try:
            if "/" in name:
                raise UnusableLineError("name has a path in it")
            return checked(f"{directory}/{name}")
        except ValueError as error:
            self._left_out(f"{directory}/{name}", error)
            return None

    def _file(self, path: str, entry: FtpEntry) -> ListedFile | None:
        try:
            return ListedFile(
                id=path,
                name=entry.name,
                path=path,
                size=entry.size,
                publication_date=entry.modified,
                session=session_of(path),
            )
        except ValueError as error:
            self._left_out(path, error)
            return None

    def _left_out(self, what: str, error: Exception) -> None:
        log.error("station lists an unusable file", station=self.station.name, file=shown(what), reason=str(error))

    @contextmanager
    def _connection(self) -> Iterator[FtpsConnection]:
        """A connection of its own; it is kept for others only when all went well."""
        with self._places:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is not None and not self._of_use(connection):
                connection.close()
                connection = None
            connection = connection or self._connected()
            try:
                yield connection
            except (MissingError, UnsupportedError):
                self._keep(connection)
                raise
            except BaseException:
                connection.close()
                raise
            self._keep(connection)

    def _of_use(self, connection: FtpsConnection) -> bool:
        """Whether a connection still answers, and leads to the primary site when that is due."""
        if connection.url != self.station.url and time.monotonic() >= self._backup_until:
            return False
        return connection.answers()

    def _keep(self, connection: FtpsConnection) -> None:
        with self._lock:
            self._idle.append(connection)

    def _connected(self) -> FtpsConnection:
        """A new connection: to the primary site, or to the backup while the primary doesn't answer."""
        station = self.station
        if station.backup_url is None:
            return self._connect(station.url)
        if time.monotonic() >= self._backup_until:
            try:
                return self._connect(station.url)
            except StationBusyError as error:
                self._backup_until = time.monotonic() + BACKUP_SECONDS
                log.warning("primary site doesn't answer, using the backup", station=station.name, reason=str(error))
        return self._connect(station.backup_url)

    def _connect(self, url: AnyUrl) -> FtpsConnection:
        station = self.station
        password = secret(station.password_file) if station.password_file else ""
        return FtpsConnection(
            url,
            station.tls(),
            username=station.username,
            password=password,
            station=station.name,
            timeout=station.timeout_seconds,
        )
