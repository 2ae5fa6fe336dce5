"""A prefix of a bucket as a station: objects over S3, whose paths below the prefix identify them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import S3Store

from refsys.services.common.logs import get_logger
from refsys.services.common.messages import Checksum
from refsys.services.common.names import shown
from refsys.services.common.settings import secret
from refsys.services.ingestion.errors import ContentError, StationBusyError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.paths import asked, checked, session_of
from refsys.services.ingestion.sources.resume import CHUNK_BYTES, resumed
from refsys.services.ingestion.stations import S3Station

PAGE = 500

_MD5 = re.compile(r'"?([0-9a-f]{32})"?')

log = get_logger()


class S3Source:
    """One prefix of one bucket."""

    def __init__(self, station: S3Station) -> None:
        """Nothing is requested before the first use."""
        self.station = station
        self._prefix = station.prefix.strip("/")
        client: dict[str, Any] = {
            "allow_http": station.url.scheme == "http",
            "connect_timeout": timedelta(seconds=min(10.0, station.timeout_seconds)),
            "read_timeout": timedelta(seconds=station.timeout_seconds),
            "timeout": timedelta(hours=24),  # of a whole body, which may be large; stalls end by read_timeout
        }
        if station.ca_file:
            client["root_certificate"] = station.ca_file.read_bytes()
        self._store = S3Store(
            station.bucket,
            endpoint=str(station.url).rstrip("/"),
            region=station.region,
            access_key_id=secret(station.access_key_file),
            secret_access_key=secret(station.secret_key_file),
            client_options=client,  # type: ignore[arg-type]  # a TypedDict, built step by step
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=station.timeout_seconds)},
        )

    def close(self) -> None:
        """Nothing stays open."""

    def listed(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """Pages of objects that were modified at or after `since`, in the order of their keys."""
        start = self.station.start(since)
        with self._errors(f"list {self._prefix}"):
            for objects in obstore.list(self._store, self._prefix or None, chunk_size=PAGE):
                page = [
                    file
                    for item in objects
                    if (start is None or item["last_modified"] >= start) and (file := self._file(item))
                ]
                if page:
                    yield page

    def content(self, file: ListedFile) -> Iterator[bytes]:
        """The bytes of an object; a broken connection is resumed where it broke, if it is the same object still."""
        path = asked(file.id, self.station.name)
        reading = _Reading(self._store, f"{self._prefix}/{path}" if self._prefix else path)

        def opened(position: int) -> Iterator[bytes]:
            with self._errors(f"get {shown(path)}"):
                yield from reading.opened(position)

        return resumed(opened, file.size, self.station.name)

    def _file(self, item: Any) -> ListedFile | None:
        key = item["path"]
        try:
            path = checked(key.removeprefix(f"{self._prefix}/") if self._prefix else key)
            return ListedFile(
                id=path,
                name=path.rpartition("/")[2],
                path=path,
                size=item["size"],
                publication_date=item["last_modified"],
                checksums=_checksums(item["e_tag"], item["last_modified"]),
                session=session_of(path),
            )
        except ValueError as error:
            log.error("station lists an unusable file", station=self.station.name, file=shown(key), reason=str(error))
            return None

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        what = f"station {self.station.name}: {action}"
        try:
            yield
        except FileNotFoundError as error:
            raise StationError(f"{what}: there is no such object or bucket") from error
        except PreconditionError as error:
            raise ContentError(f"{what}: the object changed while it was read") from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise StationError(f"{what}: {_cause(error)}; check the keys") from error
        except (BaseError, OSError) as error:
            if "<Code>NoSuchBucket</Code>" in str(error):  # of a listing, for which obstore has no error of its own
                raise StationError(f"{what}: there is no such object or bucket") from error
            raise StationBusyError(f"{what}: {_cause(error)}") from error


class _Reading:
    """One object, which must stay the same over all requests."""

    def __init__(self, store: S3Store, key: str) -> None:
        self._store, self._key = store, key
        self._etag: str | None = None
        self._size: int | None = None

    def opened(self, position: int) -> Iterator[bytes]:
        if self._size is not None and position >= self._size:
            return  # nothing is left, which no range can ask for
        options: dict[str, Any] = {"range": {"offset": position}} if position else {}
        if self._etag:
            options["if_match"] = self._etag
        result = obstore.get(self._store, self._key, options=options)  # type: ignore[arg-type]  # a TypedDict
        self._etag, self._size = result.meta["e_tag"], result.meta["size"]
        for chunk in result.stream(min_chunk_size=CHUNK_BYTES // 4):
            yield bytes(chunk)


def _checksums(etag: str | None, when: datetime) -> list[Checksum]:
    """The MD5 of an object that was put in one part; other ETags tell nothing that can be verified."""
    found = _MD5.fullmatch(etag or "")
    return [Checksum(algorithm="MD5", value=found[1], checksum_date=when)] if found else []


def _cause(error: Exception) -> str:
    return str(error).split("\n\nDebug source:")[0]
