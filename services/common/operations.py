"""Probes and metrics of a process over plain HTTP inside the pod: `/healthz`, `/readyz`, `/metrics`."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from refsys.services.common.settings import OperationsSettings

STALLED_SECONDS = 300.0


class Health:
    """What the probes answer: alive while the main loop beats, ready while its dependencies answer."""

    def __init__(self) -> None:
        """Not ready, and alive from now."""
        self._last_beat = time.monotonic()
        self._reason: str | None = "starting"

    def beat(self) -> None:
        """The main loop is running."""
        self._last_beat = time.monotonic()

    def ready(self) -> None:
        """The process can do its work."""
        self.beat()
        self._reason = None

    def not_ready(self, reason: str) -> None:
        """The process waits for something; `reason` says for what."""
        self.beat()
        self._reason = reason

    def unreadiness(self) -> str | None:
        """Why the process can't do its work; None when it can."""
        return self._reason

    def stalled(self) -> str | None:
        """Why the process should be restarted; None when it is alive."""
        silent = time.monotonic() - self._last_beat
        return f"main loop silent for {silent:.0f} s" if silent > STALLED_SECONDS else None


class _Handler(BaseHTTPRequestHandler):
    health: ClassVar[Health]
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        kind = "text/plain; charset=utf-8"
        match self.path.partition("?")[0]:
            case "/healthz":
                problem = self.health.stalled()
            case "/readyz":
                problem = self.health.unreadiness()
            case "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
                return
            case _:
                self._answer(404, kind, b"not found\n")
                return
        self._answer(503 if problem else 200, kind, f"{problem or 'ok'}\n".encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # name given by the base class
        """Probes are not worth a log line."""


def serve_operations(settings: OperationsSettings, health: Health) -> ThreadingHTTPServer:
    """Serve probes and metrics from a daemon thread; `.server_port` tells the port, `.shutdown()` ends it."""
    handler = type("Handler", (_Handler,), {"health": health})
    server = ThreadingHTTPServer(("", settings.operations_port), handler)
    threading.Thread(target=server.serve_forever, name="operations", daemon=True).start()
    return server
