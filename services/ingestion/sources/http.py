"""HTTP with stations: what their answers mean."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from refsys.services.ingestion.errors import ContentError, StationBusyError, StationError
from refsys.services.ingestion.sources.resume import after

BODY_BYTES = 64 * 2**20  # of an answer that is read as a whole

_RANGE = re.compile(r"bytes (\d{1,19})-\d{1,19}/(\d{1,19}|\*)", re.ASCII)


PLAIN = {"Accept-Encoding": "identity"}  # headers of all requests


class ForbiddenError(StationError):
    """The station answers 403."""


class RefusedError(StationError):
    """The station answers 400: it does not understand the request."""


@contextmanager
def answers(station: str) -> Iterator[None]:
    """Failures of the transport inside are passing troubles of the station."""
    try:
        yield
    except httpx.TransportError as error:
        raise StationBusyError(f"station {station}: {type(error).__name__}: {error}") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise StationError(f"station {station}: {type(error).__name__}: {error}") from error


def check(response: httpx.Response, station: str, *accepted: int) -> None:
    """Raise what a status other than the accepted ones means."""
    if response.status_code in accepted:
        return
    request = response.request
    what = f"station {station}: HTTP {response.status_code} for {request.method} {request.url.path}"
    if response.status_code in (408, 425, 429) or response.is_server_error:
        raise StationBusyError(what)
    if response.status_code == 403:
        raise ForbiddenError(f"{what}; check the credentials and what they permit")
    if response.status_code == 401:
        raise StationError(f"{what}; check the credentials")
    if response.status_code == 416:
        raise ContentError(f"{what}: the file ends before its announced size")
    raise RefusedError(what) if response.status_code == 400 else StationError(what)


def plain(response: httpx.Response, station: str) -> Iterator[bytes]:
    """The bytes as they come; compressed ones, which nobody asked for, could grow beyond all bounds."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise StationError(f"station {station}: {response.request.url.path} comes encoded, which was not asked for")
    return response.iter_raw()


def body(response: httpx.Response, station: str) -> bytes:
    """A whole answer, which must not be long."""
    text = bytearray()
    for chunk in plain(response, station):
        text += chunk
        if len(text) > BODY_BYTES:
            raise StationError(f"station {station}: answer has over {BODY_BYTES} bytes")
    return bytes(text)


class Download:
    """The bytes of one resource from any position on; it must stay the same over all requests."""

    def __init__(self, client: httpx.Client, url: httpx.URL, station: str) -> None:
        """Nothing is requested yet."""
        self._client, self._url, self._station = client, url, station
        self._etag = ""

    def opened(self, position: int) -> Iterator[bytes]:
        """The bytes from `position`; to be used with `resume.resumed`."""
        headers: dict[str, str] = {}
        if position:
            headers["Range"] = f"bytes={position}-"
            if self._etag:
                headers["If-Range"] = self._etag
        with answers(self._station), self._client.stream("GET", self._url, headers=headers) as response:
            check(response, self._station, 206 if position else 200, 200)
            etag = response.headers.get("ETag", "")
            etag = "" if etag.startswith("W/") else etag
            if position and self._etag and etag and etag != self._etag:
                raise ContentError(f"station {self._station}: {self._url.path} changed while it was read")
            self._etag = self._etag or etag
            chunks = plain(response, self._station)
            if response.status_code == 200:
                yield from after(position, chunks)
                return
            found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if found is None or int(found[1]) != position:
                raise StationError(f"station {self._station}: wrong Content-Range for bytes from {position}")
            yield from chunks
