"""Explicit FTPS (RFC 4217) as EDRS stations speak it: TLS 1.2 or later, its session used again for data."""

import contextlib
import ftplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

from pydantic import AnyUrl

from refsys.services.ingestion.errors import StationBusyError, StationError
from refsys.services.ingestion.sources.resume import CHUNK_BYTES

LISTING_SECONDS = 180.0
LINE_LIMIT = 8192  # bytes

_DENIED = ("530", "534", "535")
_UNSUPPORTED = ("500", "502", "504")
_MISSING = ("501", "550")  # 501: MLSD of what is no directory (RFC 3659 §7.2.1)


class MissingError(StationError):
    """There is no such file or directory."""


class UnsupportedError(StationError):
    """The station doesn't know a command."""


class _Client(ftplib.FTP_TLS):
    """`ftplib`'s client, with the control connection's TLS session on data connections, which servers require."""

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321  # over TLS, below
        assert isinstance(self.sock, ssl.SSLSocket)  # noqa: S101  # after login, which starts TLS
        try:
            return (
                self.context.wrap_socket(connection, server_hostname=self.host, session=self.sock.session),
                size,
            )
        except BaseException:
            connection.close()
            raise


class FtpsConnection:
    """One control connection, logged in, with protected data connections; of use to one thread at a time."""

    def __init__(
        self,
        url: AnyUrl,
        context: ssl.SSLContext,
        *,
        username: str | None,
        password: str,
        station: str,
        timeout: float,
    ) -> None:
        """Connect and log in; `timeout` in seconds for everything but listings."""
        self.station = station
        self._root = unquote(url.path or "/").rstrip("/") + "/"
        self._ftp = _Client(context=context, timeout=timeout, encoding="utf-8")
        self.rests = True  # whether the station can start in the middle of a file
        self.url = url
        try:
            with self._errors(f"cannot connect to {url.host}"):
                self._ftp.connect(url.host or "", url.port or 21)
                self._ftp.login(username or "anonymous", password)
                self._ftp.prot_p()
                self._ftp.voidcmd("TYPE I")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close at once, without taking leave."""
        self._ftp.close()

    def answers(self) -> bool:
        """Whether the station still is at the other end."""
        try:
            self._ftp.voidcmd("NOOP")
        except (ftplib.Error, EOFError, OSError, ValueError):
            self.close()
            return False
        return True

    def lines(self, command: str, directory: str) -> Iterator[bytes]:
        """The lines of a listing (`MLSD` or `LIST`) of a directory below the station's address."""
        end = time.monotonic() + LISTING_SECONDS
        with self._errors(f"{command} {directory}"), self._transfer(f"{command} {self._root}{directory}", None) as data:
            data.settimeout(LISTING_SECONDS)
            rest = b""
            while chunk := data.recv(CHUNK_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LINE_LIMIT:
                    raise StationError(f"station {self.station}: a line of {command} has over {LINE_LIMIT} bytes")
                if time.monotonic() > end:
                    raise StationBusyError(f"station {self.station}: {command} takes over {LISTING_SECONDS:.0f} s")
                yield from (line.removesuffix(b"\r") for line in lines)
            if rest:
                yield rest

    def bytes_from(self, path: str, position: int) -> Iterator[bytes]:
        """The bytes of a file below the station's address, from a position on."""
        with self._errors(f"RETR {path}"), self._transfer(f"RETR {self._root}{path}", position or None) as data:
            while chunk := data.recv(CHUNK_BYTES):
                yield chunk

    @contextmanager
    def _transfer(self, command: str, rest: int | None) -> Iterator[socket.socket]:
        """A data connection; at its regular end the station confirms that all was sent."""
        data = self._ftp.transfercmd(command, rest)
        try:
            yield data
            if isinstance(data, ssl.SSLSocket):
                # Many stations end without a TLS goodbye; the confirmation on the control connection counts.
                with contextlib.suppress(ssl.SSLError, OSError):
                    data.unwrap()
        finally:
            data.close()
        self._ftp.voidresp()

    @contextmanager
    def _errors(self, action: str) -> Iterator[None]:
        what = f"station {self.station}: {action}"
        try:
            yield
        except ftplib.error_perm as error:
            raise _permanent(what, str(error)[:300]) from None
        except (ftplib.Error, EOFError, OSError) as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise StationError(f"{what}: {error}; check ca_file and the station's address") from error
            raise StationBusyError(f"{what}: {type(error).__name__}: {str(error)[:300]}") from error
        except ValueError as error:  # a reply or path that is not text
            raise StationError(f"{what}: {type(error).__name__}: {str(error)[:300]}") from error


def _permanent(what: str, reply: str) -> StationError:
    if reply.startswith(_DENIED):
        return StationError(f"{what}: {reply}; check the credentials")
    if reply.startswith(_MISSING):
        return MissingError(f"{what}: {reply}")
    if reply.startswith(_UNSUPPORTED):
        return UnsupportedError(f"{what}: {reply}")
    return StationError(f"{what}: {reply}")
