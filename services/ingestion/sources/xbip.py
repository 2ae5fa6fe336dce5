"""Client of X-band stations: sessions over WebDAV with HTTPS (reference-system.md §3.3, RFC 4918)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote, urlsplit

import httpx

from refsys.services.common.logs import get_logger
from refsys.services.common.names import shown
from refsys.services.common.settings import secret
from refsys.services.ingestion.errors import StationBusyError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.http import PLAIN, Download, answers, check, plain
from refsys.services.ingestion.sources.multistatus import Response, responses
from refsys.services.ingestion.sources.pages import pages
from refsys.services.ingestion.sources.paths import UnusablePathError, asked, checked, session_of
from refsys.services.ingestion.sources.resume import resumed
from refsys.services.ingestion.sources.transport import Transport
from refsys.services.ingestion.stations import XbipStation

PAGE = 500
DIRECTORIES_LIMIT = 100_000
FILES_LIMIT = 5_000_000
MAX_SIZE = 2**63 - 1
_PROPFIND = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop>'
    b"<resourcetype/><getcontentlength/><getlastmodified/></prop></propfind>"
)
_NO_INFINITY = (400, 403, 501, 507)  # answers of servers that refuse Depth: infinity

log = get_logger()


class XbipSource:
    """One station. The whole tree is read at once where the station lets it, else directory by directory."""

    def __init__(self, station: XbipStation) -> None:
        """Nothing is requested before the first use."""
        self.station = station
        self._base = httpx.URL(str(station.url).rstrip("/") + "/")
        self._root = unquote(self._base.path)
        self._infinity = True
        auth = None
        if station.username and station.password_file:
            auth = httpx.BasicAuth(station.username, secret(station.password_file))
        self._http = httpx.Client(
            transport=Transport(station.tls(), station.connections + 1),
            auth=auth,
            headers=PLAIN,
            timeout=httpx.Timeout(station.timeout_seconds, connect=min(10.0, station.timeout_seconds)),
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def listed(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """Pages of files that were modified at or after `since`, in the order of the tree.

        Resources that can't be taken are left out and logged; they must not hold back the others.
        """
        files = (self._file(path, response) for path, response in self._files())
        return pages(files, self.station.start(since), PAGE)

    def content(self, file: ListedFile) -> Iterator[bytes]:
        """The bytes of a file; a broken connection is resumed where it broke."""
        download = Download(self._http, self._url(asked(file.id, self.station.name)), self.station.name)
        return resumed(download.opened, file.size, self.station.name)

    def _files(self) -> Iterator[tuple[str, Response]]:
        """All files of the tree with their paths. Directories shown without members are asked for them."""
        pending, seen, files = [""], {""}, 0
        while pending:
            directory = pending.pop()
            filled = {directory}
            found: list[str] = []
            for path, response in self._members(directory):
                if path == directory:
                    continue
                filled.add(path.rpartition("/")[0])
                if not response.collection:
                    files += 1
                    yield path, response
                elif path not in seen:
                    seen.add(path)
                    found.append(path)
                if len(seen) > DIRECTORIES_LIMIT or len(filled) > DIRECTORIES_LIMIT or files > FILES_LIMIT:
                    raise StationError(
                        f"station {self.station.name}: the tree has over {DIRECTORIES_LIMIT} directories "
                        f"or {FILES_LIMIT} files; set url to a smaller one"
                    )
            pending += [path for path in found if path not in filled]

    def _members(self, directory: str) -> Iterator[tuple[str, Response]]:
        if self._infinity and not directory:
            try:
                yield from self._propfind(directory, "infinity")
            except _InfinityRefusedError as refused:
                log.info("station refuses Depth: infinity, reading it step by step", reason=str(refused))
                self._infinity = False
            else:
                return
        yield from self._propfind(directory, "1")

    def _propfind(self, directory: str, depth: str) -> Iterator[tuple[str, Response]]:
        headers = {"Depth": depth, "Content-Type": "application/xml; charset=utf-8"}
        url, name = self._url(directory, "/"), self.station.name
        with (
            answers(name),
            self._http.stream("PROPFIND", url, headers=headers, content=_PROPFIND) as response,
        ):
            if depth == "infinity" and response.status_code in _NO_INFINITY:
                raise _InfinityRefusedError(f"station {name}: HTTP {response.status_code}")
            if directory and response.status_code == 404:
                return  # removed since its parent was read
            check(response, name, 207)
            for resource in responses(plain(response, name), name):
                if resource.code >= 500:
                    raise StationBusyError(f"station {name}: listing of {url.path} is cut off: {resource.status[:80]}")
                path = self._path(resource)
                if path is not None:
                    yield path, resource

    def _path(self, resource: Response) -> str | None:
        """The path of a resource below the station's address; None if it can't be taken."""
        try:
            whole = unquote(urlsplit(resource.href).path, errors="strict")
            if whole.rstrip("/") == self._root.rstrip("/"):
                return ""
            if not whole.startswith(self._root):
                raise UnusablePathError("href leads out of the station's address")
            return checked(whole.removeprefix(self._root).removesuffix("/"))
        except ValueError as error:
            self._left_out(resource.href, error)
            return None

    def _file(self, path: str, response: Response) -> ListedFile | None:
        try:
            length = response.values.get("getcontentlength", "")
            if length and not (length.isascii() and length.isdigit() and len(length) < 20 and int(length) <= MAX_SIZE):
                raise ValueError("getcontentlength is not a number of bytes")
            modified = parsedate_to_datetime(response.values.get("getlastmodified", ""))
            return ListedFile(
                id=path,
                name=path.rpartition("/")[2],
                path=path,
                size=int(length) if length else None,
                publication_date=modified if modified.tzinfo else modified.replace(tzinfo=UTC),
                session=session_of(path),
            )
        except (ValueError, OverflowError, TypeError, IndexError) as error:
            self._left_out(path, error)
            return None

    def _left_out(self, what: str, error: Exception) -> None:
        log.error("station lists an unusable file", station=self.station.name, file=shown(what), reason=str(error))

    def _url(self, path: str, end: str = "") -> httpx.URL:
        return self._base.copy_with(
            raw_path=self._base.raw_path + quote(path).encode() + (end if path else "").encode()
        )


class _InfinityRefusedError(StationError):
    """The station does not list its whole tree at once."""
