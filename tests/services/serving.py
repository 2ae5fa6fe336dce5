"""A service of the distribution on loopback over HTTPS, and a receiver of notifications, for several test modules."""

import json
import ssl
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import Engine
from tests.means.certificates import Authority
from tests.means.processes import free_port
from tests.services.keycloak import Keycloak

from refsys.services.common import https
from refsys.services.common.settings import OidcSettings, QuotaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.quotas import Quotas


@dataclass(frozen=True)
class Served:
    """A running service and how to reach it."""

    url: str
    trusted: ssl.SSLContext
    keycloak: Keycloak

    def client(self, user: str = "demo") -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.keycloak.token(user)}"}
        return httpx.Client(base_url=self.url, verify=self.trusted, headers=headers, timeout=60, trust_env=False)


def authenticator(keycloak: Keycloak) -> Authenticator:
    settings = OidcSettings.model_validate({"issuer": keycloak.issuer, "jwks_url": keycloak.keys_url})
    return Authenticator(settings, httpx.AsyncClient(trust_env=False))


@contextmanager
def serving(app: FastAPI, name: str, authority: Authority) -> Iterator[str]:
    """Run an application over HTTPS; gives its address."""
    certificate, port = authority.issue(name), free_port()
    server = https.server(app, certificate.certificate_file, certificate.key_file, port)
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.05)
    try:
        yield f"https://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join(30)


@contextmanager
def served(app: FastAPI, name: str, authority: Authority, keycloak: Keycloak) -> Iterator[Served]:
    trusted = ssl.create_default_context(cafile=str(authority.ca_file))
    with serving(app, name, authority) as url:
        yield Served(url, trusted, keycloak)


@dataclass
class Received:
    """One POST as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def credentials(self) -> str:
        return b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()


@dataclass
class Receiver:
    """An HTTPS server that keeps what is posted; it answers with `answers` first, then with 200.

    An answer is a status or, as a float, the seconds for which the connection hangs without any.
    """

    port: int
    answers: list[int | float] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/notify"

    def taken(self) -> list[Received]:
        return [each for each in self.received if each.headers["x-answered"] == "200"]


@contextmanager
def receiving(authority: Authority) -> Iterator[Receiver]:
    """Run a receiver."""
    receiver = Receiver(0)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = receiver.answers.pop(0) if receiver.answers else 200
            headers = {name.lower(): value for name, value in self.headers.items()} | {"x-answered": str(answer)}
            receiver.received.append(Received(self.path, headers, body))
            if isinstance(answer, float):
                time.sleep(answer)
                self.close_connection = True
                return
            self.send_response(answer)
            if answer == 302:
                self.send_header("Location", f"https://localhost:{receiver.port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    certificate = authority.issue("receiver")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield receiver
    server.shutdown()
    server.server_close()


def downloads(engine: Engine, store: ObjectStore) -> Downloads:
    """What delivers files, with the quotas of an environment."""
    return Downloads(store, Quotas(engine, QuotaSettings()))
