"""The real Envoy with the gateway's configuration on loopback, and one server behind it for all services."""

import datetime
import http.server
import json
import socket
import ssl
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.means.issuer import published, token

from refsys.platform.components.applications import Hosted, Role
from refsys.platform.components.gateway import COOKIES_FILE, realm_of, upstreams
from refsys.platform.components.gateway_config import Upstream, envoy_config, envoy_secret
from refsys.platform.components.gateway_filters import Realm
from refsys.platform.components.gateway_hosting import ROLES_HEADER, USER_HEADER
from refsys.platform.components.gateway_login import Login, login_secret
from refsys.platform.components.names import KEYCLOAK

DOMAIN = "gateway.test"
HOST = "127.0.0.1"
ISSUER = f"https://auth.{DOMAIN}/realms/refsys"
CLIENT_SECRET = "secret-of-the-client"  # pragma: allowlist secret
COOKIES_SECRET = "secret-of-cookies"  # pragma: allowlist secret


NOTES = Hosted(
    "notes",
    "Notes",
    "notes",
    8080,
    [Role("notes-reader", "Read"), Role("notes-writer", "Write")],
    "default-src 'self'",
    closed_paths=["/health", "/metrics"],
    websocket=True,
)
"""An application, for the tests of those."""
SERVED = (*upstreams(DOMAIN), NOTES.upstream(DOMAIN, COOKIES_FILE))


def bearer(user: str = "demo", **changes: Any) -> dict[str, str]:
    """The header of a user of the realm."""
    claims = {"iss": ISSUER, "sub": user, "exp": int(time.time()) + 600, **changes}
    return {"Authorization": f"Bearer {token((), **claims)}"}


@dataclass(frozen=True)
class Tls:
    """Certificates of one authority: of the gateway and the services alike, and of somebody who uploads."""

    folder: Path
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, folder: Path) -> "Tls":
        """Authority and certificates in a folder."""
        made = cls(folder, ec.generate_private_key(ec.SECP256R1()))
        made.ca_file.write_bytes(made._certificate("test", 100))
        made.uploader.write_bytes(made._certificate("station.test", 101) + made._private_key())
        made.issue(1)
        return made

    @property
    def ca_file(self) -> Path:
        """The authority."""
        return self.folder / "ca.crt"

    @property
    def file(self) -> Path:
        """Certificate and key of gateway and services."""
        return self.folder / "tls.pem"

    @property
    def uploader(self) -> Path:
        """Certificate and key of who uploads."""
        return self.folder / "uploader.pem"

    def issue(self, number: int) -> None:
        """Put the certificate of that serial number, with its key, in the place of the one before."""
        (self.folder / ".new").write_bytes(self._certificate("server", number) + self._private_key())
        (self.folder / ".new").replace(self.file)

    def _private_key(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def _certificate(self, subject: str, number: int) -> bytes:
        """A certificate by `test`, for all hosts; that of `test` itself is an authority's."""
        now = datetime.datetime.now(datetime.UTC)
        hosts = [host for upstream in SERVED for host in (*upstream.hosts, upstream.app.host)]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")]))
            .public_key(self.key.public_key())
            .serial_number(number)
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=subject == "test", path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


class _Service(http.server.BaseHTTPRequestHandler):
    """Tells how it was asked, publishes the realm's keys, and gives tokens."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment

    def do_GET(self) -> None:
        if self.headers.get("upgrade") == "websocket":
            self._upgrade()
        elif self.path.endswith("/protocol/openid-connect/certs"):
            self._answer(json.dumps(published()).encode())
        else:
            self._answer(f"{self.path} {self.headers['x-forwarded-proto']}".encode())

    def do_POST(self) -> None:
        taken = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/protocol/openid-connect/token"):
            self._give_tokens(dict(parse_qsl(taken.decode())))
        else:
            self._answer(f"{len(taken)} bytes".encode())

    def _upgrade(self) -> None:
        """Give back, once, what is sent."""
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.wfile.flush()
        self.wfile.write(self.rfile.read(4))
        self.wfile.flush()
        self.close_connection = True

    do_DELETE = do_POST  # noqa: N815  # name given by the base class
    do_PATCH = do_POST  # noqa: N815  # name given by the base class

    def _give_tokens(self, asked: dict[str, str]) -> None:
        """Take each code and refresh token but wrong ones; who asks is a client that knows its secret."""
        client = b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()
        verified = asked["grant_type"] == "refresh_token" or len(asked["code_verifier"]) >= 43
        if (
            client not in {f"portal:{CLIENT_SECRET}", f"app-notes:{CLIENT_SECRET}"}
            or not verified
            or "wrong" in asked.values()
        ):
            self._answer(b'{"error": "invalid_grant"}', 400)
            return
        end = int(time.time()) + 600
        given = token(("notes-writer",), iss=ISSUER, sub="anna", preferred_username="anna", exp=end)
        tokens = {"access_token": given, "id_token": given, "refresh_token": "refreshing"}
        self._answer(json.dumps(tokens | {"token_type": "Bearer", "expires_in": 600}).encode())

    def _answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Powered-By", "tests")
        for name in ("authorization", "cookie", USER_HEADER, ROLES_HEADER):
            self.send_header(f"X-Was-Asked-With-{name}", ",".join(self.headers.get_all(name, [])))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # name given by the base class
        pass


@contextmanager
def service(tls: Tls | None) -> Iterator[int]:
    """A service with the services' certificate, or without TLS; gives its port."""
    server = http.server.ThreadingHTTPServer((HOST, 0), _Service)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls.file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def keep_secret(folder: Path, name: str, value: str) -> str:
    """Put a secret of logins where Envoy finds it, in the place of the one before; return where that is."""
    file = folder / f"{name}.json"
    (folder / ".new").write_text(login_secret(name, value))
    (folder / ".new").replace(file)
    return str(file)


def configuration(tls: Tls, served: Sequence[Upstream], folder: Path, realm: Realm) -> dict[str, Any]:
    """The gateway's configuration, with its own certificate and secrets from files."""
    secret = folder / "certificate.yaml"
    secret.write_text(yaml.safe_dump(envoy_secret(str(tls.file))))
    served = [_on_files(up, tls, folder) for up in served]
    return envoy_config(served, str(secret), str(tls.ca_file), realm)


def _on_files(up: Upstream, tls: Tls, folder: Path) -> Upstream:
    if up.client_ca:
        up = replace(up, client_ca=str(tls.ca_file))
    if up.login:
        client = keep_secret(folder, "client", CLIENT_SECRET)
        cookies = keep_secret(folder, "cookies", COOKIES_SECRET)
        up = replace(up, login=replace(up.login, client_file=client, cookies_file=cookies))
    return up


def on_loopback(config: dict[str, Any], service_port: int, keycloak_port: int | None) -> dict[str, Any]:
    """Change addresses alone: free ports, the service in place of cluster names; and Keycloak without TLS, if it is."""
    resources = config["static_resources"]
    config["admin"]["address"]["socket_address"]["port_value"] = 0
    for listener in resources["listeners"]:
        listener["address"]["socket_address"] = {"address": HOST, "port_value": 0}
    for cluster in resources["clusters"]:
        port = service_port
        if cluster["name"] == KEYCLOAK.name and keycloak_port:
            port = keycloak_port
            del cluster["transport_socket"]
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"]["socket_address"] = {"address": HOST, "port_value": port}
    return config


@dataclass(frozen=True)
class Gateway:
    """The running gateway."""

    port: int
    tls: Tls

    def client(self, context: ssl.SSLContext | None = None) -> httpx.Client:
        """A client that trusts it; a kept connection would have the name of an earlier request."""
        trust = context or ssl.create_default_context(cafile=str(self.tls.ca_file))
        once = httpx.Limits(max_keepalive_connections=0)
        return httpx.Client(base_url=f"https://{HOST}:{self.port}", verify=trust, limits=once, trust_env=False)

    def ask(self, host: str, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        """Ask as a user of the realm, unless `headers` say otherwise."""
        headers = {"Host": host, **more.pop("headers", bearer())}
        with self.client() as client:
            return client.request(method, path, headers=headers, extensions={"sni_hostname": host}, **more)

    def raw(self, host: str, request: bytes) -> bytes:
        """Send bytes as they are; return what comes back."""
        trust = ssl.create_default_context(cafile=str(self.tls.ca_file))
        plain = socket.create_connection((HOST, self.port), timeout=10)
        with trust.wrap_socket(plain, server_hostname=host) as connection:
            connection.sendall(request)
            answer = b""
            try:
                while part := connection.recv(65_536):
                    answer += part
            except (TimeoutError, ConnectionError, ssl.SSLError):
                pass
            return answer


@contextmanager
def running(
    envoy: Path,
    tls: Tls,
    folder: Path,
    *,
    passwords: bool = False,
    uploaders_ca: bool = False,
    per_second: int = 1000,
    applications: Sequence[Hosted] = (),
) -> Iterator[Gateway]:
    """The gateway before a service, until the context ends; every service takes so many requests a second."""
    served = upstreams(DOMAIN, uploaders_ca=uploaders_ca)
    served += tuple(application.upstream(DOMAIN, COOKIES_FILE) for application in applications)
    with service(tls) as port:
        limited = [replace(up, requests_per_second=per_second, login=_limited(up, per_second)) for up in served]
        config = configuration(tls, limited, folder, realm_of(DOMAIN, passwords=passwords))
        with started(envoy, tls, folder, on_loopback(config, port, None)) as found:
            yield found


def _limited(up: Upstream, per_second: int) -> Login | None:
    return replace(up.login, requests_per_second=per_second) if up.login else None


@contextmanager
def started(envoy: Path, tls: Tls, folder: Path, config: dict[str, Any]) -> Iterator[Gateway]:
    """The gateway with that configuration, until the context ends."""
    (folder / "envoy.yaml").write_text(yaml.safe_dump(config))
    admin = folder / "admin"
    command: list[str | Path] = [envoy, "--config-path", folder / "envoy.yaml", "--admin-address-path", admin]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--disable-hot-restart", "--concurrency", "1"], stdout=log, stderr=log)
    try:
        yield Gateway(_listener_port(process, admin, folder / "log"), tls)
    finally:
        process.terminate()
        process.wait(10)


def _listener_port(process: subprocess.Popen[bytes], admin: Path, log: Path) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if admin.exists() and admin.read_text():
            listeners = httpx.get(f"http://{admin.read_text()}/listeners?format=json", trust_env=False).json()
            for status in listeners.get("listener_statuses", []):
                if status["name"] == "public":
                    return int(status["local_address"]["socket_address"]["port_value"])
        time.sleep(0.1)
    raise AssertionError(f"envoy did not start: {log.read_text()[-2000:]}")
