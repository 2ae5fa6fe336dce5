"""The transport below `httpx` for stations: urllib3, which takes a fifth of the processor time for large bodies."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import urllib3
from urllib3 import exceptions

from refsys.services.ingestion.sources.resume import CHUNK_BYTES

# The first that fits counts.
_ERRORS: tuple[tuple[type[exceptions.HTTPError], type[httpx.TransportError]], ...] = (
    (exceptions.NewConnectionError, httpx.ConnectError),
    (exceptions.ConnectTimeoutError, httpx.ConnectTimeout),
    (exceptions.TimeoutError, httpx.ReadTimeout),
    (exceptions.SSLError, httpx.ConnectError),
    (exceptions.ProtocolError, httpx.RemoteProtocolError),
    (exceptions.HTTPError, httpx.NetworkError),
)


class Transport(httpx.BaseTransport):
    """Connections to stations, kept open between requests; threads may share it."""

    def __init__(self, tls: ssl.SSLContext, connections: int) -> None:
        """Keep at most `connections` open when they are idle."""
        self._pool = urllib3.PoolManager(maxsize=connections, retries=False, ssl_context=tls)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, whose body is still to be read."""
        seconds = request.extensions.get("timeout", {})
        with _translated(request):
            answer = self._pool.request(
                request.method,
                str(request.url),
                body=request.read() or None,
                headers=dict(request.headers),
                timeout=urllib3.Timeout(connect=seconds.get("connect"), read=seconds.get("read")),
                preload_content=False,
                decode_content=False,
                redirect=False,
            )
        return httpx.Response(answer.status, headers=list(answer.headers.items()), stream=_Body(answer, request))

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()


class _Body(httpx.SyncByteStream):
    """The body of an answer, in chunks of `CHUNK_BYTES`."""

    def __init__(self, answer: urllib3.BaseHTTPResponse, request: httpx.Request) -> None:
        self._answer, self._request = answer, request

    def __iter__(self) -> Iterator[bytes]:
        with _translated(self._request):
            while chunk := self._answer.read(CHUNK_BYTES, decode_content=False):
                yield chunk

    def close(self) -> None:
        # Of what was not read to its end, the connection can't be used again.
        self._answer.close()
        self._answer.release_conn()


@contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except exceptions.LocationValueError as error:
        raise httpx.UnsupportedProtocol(str(error), request=request) from error
    except exceptions.HTTPError as error:
        kind = next(kind for one, kind in _ERRORS if isinstance(error, one))
        raise kind(str(error), request=request) from error
