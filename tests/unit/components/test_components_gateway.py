"""The gateway's configuration, accepted and run by the real Envoy; what it lets in and what it answers."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography import x509
from tests.unit.components.gateway import DOMAIN, HOST, Gateway, Tls, bearer, configuration, running

from refsys.platform.components.gateway import realm_of, upstreams


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def gateway(envoy: Path, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(envoy, tls, tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.mark.parametrize("uploaders_ca", [False, True])
def test_envoy_accepts_the_configuration(envoy: Path, tls: Tls, tmp_path: Path, uploaders_ca: bool) -> None:
    path = tmp_path / "envoy.yaml"
    served = upstreams(DOMAIN, uploaders_ca=uploaders_ca)
    path.write_text(yaml.safe_dump(configuration(tls, served, tmp_path, realm_of(DOMAIN, passwords=True))))
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
def test_operators_reach_their_api_and_nothing_else(gateway: Gateway, path: str, status: int) -> None:
    assert gateway.ask(f"operations.{DOMAIN}", path).status_code == status


@pytest.mark.parametrize(("path", "status"), [("/ingestor/v1/uploads", 200), ("/metrics", 404), ("/", 404)])
def test_uploaders_reach_the_ingestor_and_nothing_else(gateway: Gateway, path: str, status: int) -> None:
    assert gateway.ask(f"ingestor.{DOMAIN}", path).status_code == status


@pytest.mark.parametrize("host", [f"{name}.{DOMAIN}" for name in ("prip", "auxip", "cadip", "stac")])
def test_the_apis_reach_their_service(gateway: Gateway, host: str) -> None:
    answer = gateway.ask(host, "/odata/v1/Products?$top=1")
    assert (answer.status_code, answer.text) == (200, "/odata/v1/Products?$top=1 https")
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(("path", "status"), [("/odata/v1/Products", 200), ("/odata/v1/Products?none", 401)])
def test_every_answer_has_strict_headers(gateway: Gateway, path: str, status: int) -> None:
    answer = gateway.ask(f"prip.{DOMAIN}", path, headers=bearer() if status == 200 else {})
    assert answer.status_code == status
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not {"server", "x-powered-by", "x-envoy-upstream-service-time"} & set(answer.headers)


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
        ("/realms/refsys/.//../../admin/realms", 404),
        ("/realms/refsys/..%5cmaster/", 400),
    ],
)
def test_only_the_realm_of_users_is_outside(gateway: Gateway, path: str, status: int) -> None:
    assert gateway.ask(f"auth.{DOMAIN}", path, headers={}).status_code == status


def test_other_hosts_are_refused(gateway: Gateway) -> None:
    with pytest.raises(httpx.TransportError):
        gateway.ask(f"other.{DOMAIN}", "/")
    name = f"prip.{DOMAIN}"
    with gateway.client() as client:
        answer = client.get("/", headers={"Host": "other"}, extensions={"sni_hostname": name})
    assert answer.status_code == 404


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("newest", "ciphers"),
    [(ssl.TLSVersion.TLSv1_1, "DEFAULT@SECLEVEL=0"), (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES128-SHA")],
    ids=["old version", "old cipher"],
)
def test_old_tls_is_refused(gateway: Gateway, newest: ssl.TLSVersion, ciphers: str) -> None:
    context = ssl.create_default_context(cafile=str(gateway.tls.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = newest
    context.set_ciphers(ciphers)
    with gateway.client(context) as old, pytest.raises(httpx.TransportError):
        old.get("/", extensions={"sni_hostname": f"prip.{DOMAIN}"})


def test_uploads_may_ask_for_a_certificate(envoy: Path, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> None:
    uploads, products = f"ingestor.{DOMAIN}", f"prip.{DOMAIN}"
    with running(envoy, tls, tmp_path_factory.mktemp("gateway-uploads"), uploaders_ca=True) as gateway:
        with pytest.raises(httpx.TransportError):
            gateway.ask(uploads, "/ingestor/v1/uploads")
        assert gateway.ask(products, "/odata/v1").status_code == 200
        context = ssl.create_default_context(cafile=str(tls.ca_file))
        context.load_cert_chain(tls.uploader)
        with gateway.client(context) as station:
            hidden = {"sni_hostname": uploads}
            assert station.get("/ingestor/v1/uploads", headers={"Host": uploads}, extensions=hidden).status_code == 401
        # On a connection to another host, which asks for no certificate, there are no uploads.
        with gateway.client() as client:
            answer = client.get(
                "/ingestor/v1/uploads", headers={"Host": uploads}, extensions={"sni_hostname": products}
            )
            assert answer.status_code == 404


def _shown(gateway: Gateway) -> int:
    """The serial number of the certificate that new connections are shown."""
    context = ssl.create_default_context(cafile=str(gateway.tls.ca_file))
    with (
        socket.create_connection((HOST, gateway.port), 5) as plain,
        context.wrap_socket(plain, server_hostname=f"prip.{DOMAIN}") as secured,
    ):
        shown = secured.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


def test_another_certificate_is_shown_without_a_request_lost(
    envoy: Path, tls: Tls, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = f"prip.{DOMAIN}"
    with running(envoy, tls, tmp_path_factory.mktemp("gateway-rotation")) as gateway:
        trust = ssl.create_default_context(cafile=str(tls.ca_file))
        with httpx.Client(base_url=f"https://{HOST}:{gateway.port}", verify=trust, trust_env=False) as kept:

            def asked() -> int:
                headers = {"Host": host, **bearer()}
                return kept.get("/", headers=headers, extensions={"sni_hostname": host}).status_code

            assert (_shown(gateway), asked()) == (1, 200)
            tls.issue(2)
            statuses = []
            deadline = time.monotonic() + 15
            while _shown(gateway) != 2:
                statuses += [asked(), gateway.ask(host, "/").status_code]
                assert time.monotonic() < deadline
            statuses.append(asked())
    tls.issue(1)
    assert set(statuses) == {200}
