"""An XBIP station: a folder over WebDAV and HTTPS, by wsgidav and cheroot, with faults on request.

python -m tests.means.webdav FOLDER --port 8443 --certificate server.pem --key server.key --rate 34000000
"""

import argparse
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any, Self

from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server
from wsgidav.fs_dav_provider import FilesystemProvider
from wsgidav.wsgidav_app import WsgiDAVApp

from tests.means.certificates import Authority, Certificate
from tests.means.faults import TreeFaults

USERNAME, PASSWORD = "station-user", "station-password"
_MODIFIED = re.compile(rb"(<(?:\w+:)?getlastmodified>)([^<]*)(<)")


class _Quiet(Server):
    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        """Say nothing: cuts are on purpose."""


class WebDav:
    """The station; use as a context manager. With `authority` it asks for client certificates."""

    def __init__(
        self,
        folder: Path,
        certificate: Certificate,
        *,
        authority: Authority | None = None,
        mount: str = "/xbip",
        host: str = "127.0.0.1",
        port: int = 0,
        username: str = USERNAME,
        password: str = PASSWORD,
    ) -> None:
        """Bind the port; 0 takes a free one."""
        self.faults = TreeFaults()
        self.requests: list[tuple[str, str, str]] = []  # method, path, Depth or Range
        dav = WsgiDAVApp(
            {
                "provider_mapping": {mount: FilesystemProvider(str(folder), readonly=True)},
                "simple_dc": {"user_mapping": {"*": {username: {"password": password}}}},
                "http_authenticator": {"accept_digest": False, "default_to_digest": False},
                "verbose": 0,
                "logging": {"enable": False},
                "property_manager": False,
                "lock_storage": False,
            }
        )
        self._dav: Callable[..., Iterable[bytes]] = dav
        self._server = _Quiet((host, port), self._answer, numthreads=8, server_name="localhost")
        adapter = BuiltinSSLAdapter(str(certificate.certificate_file), str(certificate.key_file))
        if authority:
            adapter.context.verify_mode = ssl.CERT_REQUIRED
            adapter.context.load_verify_locations(authority.ca_file)
        self._server.ssl_adapter = adapter
        self._server.prepare()
        self.url = f"https://{host}:{self._server.bind_addr[1]}{mount}"

    def __enter__(self) -> Self:
        """Serve from a thread."""
        threading.Thread(target=self._server.serve, daemon=True, name="webdav").start()
        return self

    def __exit__(self, *_: object) -> None:
        """End serving and free the port."""
        self._server.stop()

    def _answer(self, environment: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        faults, method = self.faults, environment["REQUEST_METHOD"]
        depth, span = environment.get("HTTP_DEPTH", ""), environment.get("HTTP_RANGE", "")
        self.requests.append((method, environment["PATH_INFO"], depth or span))
        code = faults.refuse_infinity if depth == "infinity" else 0
        if not code and faults.happens(faults.errors):
            code = faults.error_code
        if code:
            start_response(f"{code} Fault on request", [("Content-Length", "0")])
            return [b""]
        if depth == "infinity" and faults.flat_infinity:
            environment["HTTP_DEPTH"] = "1"
        if faults.ignore_range:
            environment.pop("HTTP_RANGE", None)
        body = self._dav(environment, start_response)
        if method == "GET":
            return self._sent(body)
        return self._skewed(body) if faults.skew_seconds else body

    def _sent(self, body: Iterable[bytes]) -> Iterator[bytes]:
        left = self.faults.cut_bytes if self.faults.cuts_now() else None
        for block in body:
            self.faults.pace(len(block))
            if left is not None and len(block) > left:
                raise ConnectionError("cut on request")
            left = None if left is None else left - len(block)
            yield block

    def _skewed(self, body: Iterable[bytes]) -> list[bytes]:
        skew = timedelta(seconds=self.faults.skew_seconds)

        def moved(found: re.Match[bytes]) -> bytes:
            moment = parsedate_to_datetime(found[2].decode()).astimezone(UTC) + skew
            return found[1] + format_datetime(moment, usegmt=True).encode().ljust(len(found[2])) + found[3]

        return [_MODIFIED.sub(moved, b"".join(body))]


def main() -> None:
    """Serve a folder until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--rate", type=float, help="bytes a second of each download")
    arguments = parser.parse_args()
    certificate = Certificate(arguments.certificate, arguments.key)
    with WebDav(arguments.folder, certificate, host=arguments.host, port=arguments.port) as station:
        station.faults.rate = arguments.rate
        print(station.url, flush=True)  # noqa: T201  # the output of the command
        threading.Event().wait()


if __name__ == "__main__":
    main()
