"""A way to an HTTP server on which the answer to a chosen request gets lost, as by a time-out in the middle."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit


@dataclass
class Way:
    """The way's own address, and what gets lost on it."""

    url: str
    lose: list[tuple[str, str]] = field(default_factory=list)
    """Method and end of the path of requests that are carried out and not answered, each once."""
    lost: int = 0

    def takes(self, method: str, path: str) -> bool:
        """Whether this request's answer gets lost."""
        found = next((item for item in self.lose if item[0] == method and path.endswith(item[1])), None)
        if found:
            self.lose.remove(found)
            self.lost += 1
        return found is not None


@contextmanager
def way_to(url: str) -> Iterator[Way]:
    """Open the way until the context ends."""
    target = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        way: ClassVar[Way]

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = HTTPConnection(str(target.hostname), target.port, timeout=120)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            if self.way.takes(self.command, urlsplit(self.path).path):
                self.close_connection = True
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def handle(self) -> None:
            with suppress(OSError, HTTPException):
                super().handle()

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _pass_on  # noqa: N815 names of the library

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.way = Way(f"http://127.0.0.1:{server.server_port}{target.path}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Handler.way
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
