"""The gateway's configuration, accepted and run by the real Envoy."""

import datetime
import http.server
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from refsys.platform.components.gateway import upstreams
from refsys.platform.components.gateway_config import envoy_config, envoy_secret

DOMAIN = "gateway.test"
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Tls:
    """Certificates of the gateway and the services alike, of one authority."""

    folder: Path
    key: ec.EllipticCurvePrivateKey

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def file(self) -> Path:
        return self.folder / "tls.pem"

    def issue(self, number: int) -> None:
        """Put the certificate of that serial number, with its key, in the place of the one before."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self.folder / ".new").write_bytes(self.certificate("server", number) + key)
        (self.folder / ".new").replace(self.file)

    def certificate(self, subject: str, number: int) -> bytes:
        """A certificate by `test`, for all hosts; that of `test` itself is an authority's."""
        now = datetime.datetime.now(datetime.UTC)
        hosts = [host for upstream in upstreams(DOMAIN) for host in (*upstream.hosts, upstream.app.host)]
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


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    made = Tls(tmp_path_factory.mktemp("tls"), ec.generate_private_key(ec.SECP256R1()))
    made.ca_file.write_bytes(made.certificate("test", 100))
    made.issue(1)
    return made


def configuration(tls: Tls, folder: Path) -> dict[str, Any]:
    """Envoy's configuration with its own certificate from a file."""
    secret = folder / "certificate.yaml"
    secret.write_text(yaml.safe_dump(envoy_secret(str(tls.file))))
    return envoy_config(upstreams(DOMAIN), str(secret), str(tls.ca_file))


class _Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment

    def do_GET(self) -> None:
        body = f"{self.path} {self.headers['x-forwarded-proto']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def service_port(tls: Tls) -> Iterator[int]:
    """A service with the services' certificate."""
    server = http.server.ThreadingHTTPServer((HOST, 0), _Upstream)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def on_loopback(config: dict[str, Any], service_port: int, folder: Path) -> dict[str, Any]:
    """Change addresses alone: free ports, and the service in place of cluster names."""
    resources = config["static_resources"]
    config["admin"]["address"]["socket_address"]["port_value"] = 0
    for listener in resources["listeners"]:
        listener["address"]["socket_address"] = {"address": HOST, "port_value": 0}
    for cluster in resources["clusters"]:
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"]["socket_address"] = {"address": HOST, "port_value": service_port}
    path = folder / "envoy.yaml"
    path.write_text(yaml.safe_dump(config))
    return config


@pytest.fixture(scope="module")
def gateway(
    envoy: Path, tls: Tls, service_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the running gateway."""
    folder = tmp_path_factory.mktemp("gateway")
    on_loopback(configuration(tls, folder), service_port, folder)
    admin = folder / "admin"
    command: list[str | Path] = [envoy, "--config-path", folder / "envoy.yaml", "--admin-address-path", admin]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "--disable-hot-restart", "--concurrency", "1"], stdout=log, stderr=log)
    try:
        port = _listener_port(process, admin, folder / "log")
        trust = ssl.create_default_context(cafile=str(tls.ca_file))
        once = httpx.Limits(max_keepalive_connections=0)  # a kept connection has the name of an earlier request
        with httpx.Client(base_url=f"https://{HOST}:{port}", verify=trust, limits=once) as client:
            yield client
    finally:
        process.terminate()
        process.wait(10)


def _listener_port(process: subprocess.Popen[bytes], admin: Path, log: Path) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if admin.exists() and admin.read_text():
            listeners = httpx.get(f"http://{admin.read_text()}/listeners?format=json").json()
            for status in listeners.get("listener_statuses", []):
                if status["name"] == "public":
                    return int(status["local_address"]["socket_address"]["port_value"])
        time.sleep(0.1)
    raise AssertionError(f"envoy did not start: {log.read_text()[-2000:]}")


def get(gateway: httpx.Client, host: str, path: str) -> httpx.Response:
    return gateway.get(path, headers={"Host": host}, extensions={"sni_hostname": host})


def test_envoy_accepts_the_configuration(envoy: Path, tls: Tls, tmp_path: Path) -> None:
    path = tmp_path / "envoy.yaml"
    path.write_text(yaml.safe_dump(configuration(tls, tmp_path)))
    result = subprocess.run(
        [envoy, "--mode", "validate", "--config-path", path], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/operations/v1/lifecycle/products?page=0", 200),
        ("/api/v1/failedProcessings/count", 200),
        ("/metrics", 404),
        ("/", 404),
    ],
)
def test_operators_reach_their_api_and_nothing_else(gateway: httpx.Client, path: str, status: int) -> None:
    assert get(gateway, f"operations.{DOMAIN}", path).status_code == status


@pytest.mark.parametrize(("path", "status"), [("/ingestor/v1/uploads", 200), ("/metrics", 404), ("/", 404)])
def test_uploaders_reach_the_ingestor_and_nothing_else(gateway: httpx.Client, path: str, status: int) -> None:
    assert get(gateway, f"ingestor.{DOMAIN}", path).status_code == status


@pytest.mark.parametrize("host", [f"{name}.{DOMAIN}" for name in ("prip", "auxip", "cadip", "stac")])
def test_the_apis_reach_their_service(gateway: httpx.Client, host: str) -> None:
    answer = get(gateway, host, "/odata/v1/Products?$top=1")
    assert (answer.status_code, answer.text) == (200, "/odata/v1/Products?$top=1 https")
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")
    assert answer.headers["x-request-id"]
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/realms/refsys/.well-known/openid-configuration", 200),
        ("/realms/master/protocol/openid-connect/token", 404),
        ("/admin/realms", 404),
        ("/metrics", 404),
        ("/realms/refsys/../master/", 404),
        ("/realms/refsys/%2e%2e/master/", 404),
        ("/realms/refsys/..%2fmaster/", 400),
    ],
)
def test_only_the_realm_of_users_is_outside(gateway: httpx.Client, path: str, status: int) -> None:
    assert get(gateway, f"auth.{DOMAIN}", path).status_code == status


def test_other_hosts_are_refused(gateway: httpx.Client) -> None:
    with pytest.raises(httpx.TransportError):
        get(gateway, f"other.{DOMAIN}", "/")
    name = f"prip.{DOMAIN}"
    answer = gateway.get("/", headers={"Host": "other"}, extensions={"sni_hostname": name})
    assert answer.status_code == 404


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(gateway: httpx.Client, tls: Tls) -> None:
    context = ssl.create_default_context(cafile=str(tls.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with httpx.Client(base_url=gateway.base_url, verify=context) as old, pytest.raises(httpx.TransportError):
        get(old, f"prip.{DOMAIN}", "/")


def _shown(gateway: httpx.Client, tls: Tls) -> int:
    """The serial number of the certificate that new connections are shown."""
    context = ssl.create_default_context(cafile=str(tls.ca_file))
    name = f"prip.{DOMAIN}"
    address = (HOST, gateway.base_url.port or 0)
    with socket.create_connection(address, 5) as plain, context.wrap_socket(plain, server_hostname=name) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


def test_another_certificate_is_shown_without_a_request_lost(gateway: httpx.Client, tls: Tls) -> None:
    assert _shown(gateway, tls) == 1
    statuses = []
    with httpx.Client(base_url=gateway.base_url, verify=ssl.create_default_context(cafile=str(tls.ca_file))) as kept:
        get(kept, f"prip.{DOMAIN}", "/")
        tls.issue(2)
        deadline = time.monotonic() + 15
        while _shown(gateway, tls) != 2:
            statuses += [get(kept, f"prip.{DOMAIN}", "/").status_code, get(gateway, f"prip.{DOMAIN}", "/").status_code]
            assert time.monotonic() < deadline
        statuses.append(get(kept, f"prip.{DOMAIN}", "/").status_code)
    assert set(statuses) == {200}


def test_too_many_requests_are_answered_429(gateway: httpx.Client) -> None:
    host, path = f"auth.{DOMAIN}", "/realms/refsys/x"
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: get(gateway, host, path).status_code, range(400)))
    assert set(statuses) == {200, 429}
