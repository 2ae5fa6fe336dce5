"""Attacks on the real Envoy with the gateway's configuration: tokens, sizes, floods, smuggling."""

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.means.issuer import OTHER_KEY, token
from tests.unit.components.gateway import DOMAIN, ISSUER, Gateway, Tls, bearer, running

from refsys.platform.components.gateway import upstreams
from refsys.platform.components.gateway_config import HEADERS_COUNT, HEADERS_KIB, REQUEST_BYTES

PRODUCTS = f"prip.{DOMAIN}"
PATH = "/odata/v1/Products"
CLOSED = {
    f"prip.{DOMAIN}": PATH,
    f"auxip.{DOMAIN}": PATH,
    f"cadip.{DOMAIN}": "/odata/v1/Sessions",
    f"stac.{DOMAIN}": "/search",
    f"ondemand.{DOMAIN}": "/ogc/jobs",
    f"metadata.{DOMAIN}": "/l0Slice/x",
    f"ingestor.{DOMAIN}": "/ingestor/v1/uploads",
    f"operations.{DOMAIN}": "/operations/v1/x",
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def gateway(envoy: Path, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """As in production: no passwords."""
    with running(envoy, tls, tmp_path_factory.mktemp("gateway")) as found:
        yield found


@pytest.fixture(scope="module")
def trying_out(envoy: Path, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """As for trying things out: the realm takes passwords."""
    with running(envoy, tls, tmp_path_factory.mktemp("gateway-passwords"), passwords=True) as found:
        yield found


def test_every_closed_host_is_tried() -> None:
    assert set(CLOSED) == {host for up in upstreams(DOMAIN) if up.tokens for host in up.hosts}


def _claims() -> dict[str, Any]:
    return {"iss": ISSUER, "aud": "refsys", "sub": "1", "exp": int(time.time()) + 600}


def _wrong() -> dict[str, dict[str, str]]:
    public = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    _, payload, _ = token((), **_claims()).split(".")
    symmetric = jwt.encode(_claims(), "secret-that-is-long-enough-for-hs256", "HS256", {"kid": "one"})
    basic = base64.b64encode(b"demo:demo").decode()
    return {
        "none": {},
        "expired": bearer(exp=int(time.time()) - 60),
        "endless": bearer(exp=None),
        "other audience": bearer(aud="another-service"),
        "no audience": bearer(aud=None),
        "other issuer": bearer(iss="https://auth.example.org/realms/refsys"),
        "forged": bearer(key=OTHER_KEY),
        "unknown key": bearer(kid="two"),
        "unsigned": {"Authorization": f"Bearer {public}.{payload}."},
        "symmetric": {"Authorization": f"Bearer {symmetric}"},
        "nonsense": {"Authorization": "Bearer nonsense"},
        "nonsense elsewhere": {"OAUTH2-ACCESS-TOKEN": "nonsense"},
        "password": {"Authorization": f"Basic {basic}"},
        "in the address only": {},
    }


@pytest.mark.parametrize("host", CLOSED)
def test_without_a_right_token_nothing_reaches_a_service(gateway: Gateway, host: str) -> None:
    for kind, headers in _wrong().items():
        path = CLOSED[host]
        if kind == "in the address only":
            path += f"?access_token={token((), **_claims())}"
        answer = gateway.ask(host, path, headers=headers)
        assert answer.status_code == 401, kind
        assert answer.headers["www-authenticate"].startswith("Bearer"), kind
        assert answer.json()["error"]["code"] == "Gateway401", kind
        time.sleep(0.02)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {token((), **_claims())}"},
        {"Authorization": f"bearer {token((), **_claims())}"},
        {"OAUTH2-ACCESS-TOKEN": token((), **_claims())},
    ],
    ids=["bearer", "small letters", "own header"],
)
def test_a_right_token_passes_however_it_comes(gateway: Gateway, headers: dict[str, str]) -> None:
    assert gateway.ask(PRODUCTS, PATH, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/api", 200), ("/api.html", 200), ("/docs/oauth2-redirect", 200), ("/api/", 401), ("/api/../search", 401)],
)
def test_only_the_description_of_stac_is_open(gateway: Gateway, path: str, status: int) -> None:
    assert gateway.ask(f"stac.{DOMAIN}", path, headers={}).status_code == status


def test_passwords_pass_only_where_the_realm_takes_them(gateway: Gateway, trying_out: Gateway) -> None:
    for scheme in ("Basic", "basic"):
        headers = {"Authorization": f"{scheme} {base64.b64encode(b'demo:demo').decode()}"}
        assert gateway.ask(PRODUCTS, PATH, headers=headers).status_code == 401
        assert trying_out.ask(PRODUCTS, PATH, headers=headers).status_code == 200
    assert trying_out.ask(PRODUCTS, PATH, headers={}).status_code == 401
    assert trying_out.ask(PRODUCTS, PATH, headers=bearer(key=OTHER_KEY)).status_code == 401


def test_a_large_body_is_refused_but_to_uploads(gateway: Gateway) -> None:
    body = b"x" * (REQUEST_BYTES + 1)
    filter_list = "/odata/v1/Products/OData.CSC.FilterList"
    assert gateway.ask(PRODUCTS, filter_list, "POST", content=body[:-1]).text == f"{REQUEST_BYTES} bytes"
    assert gateway.ask(PRODUCTS, filter_list, "POST", content=body).status_code == 413
    uploads = gateway.ask(f"ingestor.{DOMAIN}", "/ingestor/v1/uploads/1", "PATCH", content=body * 8)
    assert uploads.text == f"{8 * len(body)} bytes"


def test_a_stranger_may_not_even_send_a_body(gateway: Gateway) -> None:
    answer = gateway.ask(f"ingestor.{DOMAIN}", "/ingestor/v1/uploads/1", "PATCH", content=b"x" * 100, headers={})
    assert answer.status_code == 401


def test_floods_of_headers_are_refused(gateway: Gateway) -> None:
    many = bearer() | {f"x-{number}": "1" for number in range(HEADERS_COUNT)}
    assert gateway.ask(PRODUCTS, PATH, headers=many).status_code == 431
    large = bearer() | {"x-large": "x" * HEADERS_KIB * 1024}
    assert gateway.ask(PRODUCTS, PATH, headers=large).status_code == 431
    assert gateway.ask(PRODUCTS, f"{PATH}?$filter={'x' * 50_000}").status_code == 200


@pytest.mark.parametrize(("method", "status"), [("TRACE", 405), ("TRACK", 400)])
def test_requests_are_not_sent_back(gateway: Gateway, method: str, status: int) -> None:
    assert gateway.ask(PRODUCTS, PATH, method).status_code == status


def test_headers_that_services_read_otherwise_are_refused(gateway: Gateway) -> None:
    assert gateway.ask(PRODUCTS, PATH, headers=bearer() | {"x_forwarded_for": "10.0.0.1"}).status_code == 400


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Content-Length: +5\r\n",
        "Transfer-Encoding : chunked\r\n",
    ],
    ids=["both", "two lengths", "two codings", "hidden coding", "signed length", "space"],
)
def test_smuggled_requests_end_at_the_gateway(gateway: Gateway, head: str) -> None:
    hidden = "0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    request = f"POST {PATH} HTTP/1.1\r\nHost: {PRODUCTS}\r\nAuthorization: {bearer()['Authorization']}\r\n{head}\r\n"
    answer = gateway.raw(PRODUCTS, (request + hidden).encode("latin-1"))
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501"))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"/metrics" not in answer


@pytest.fixture(scope="module")
def slow(envoy: Path, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Takes two requests a second, of one user one, and twice as many at once."""
    with running(envoy, tls, tmp_path_factory.mktemp("gateway-slow"), per_second=2) as found:
        yield found


def _statuses(gateway: Gateway, number: int, headers: dict[str, str], host: str = PRODUCTS) -> list[int]:
    with ThreadPoolExecutor(4) as pool:
        return list(
            pool.map(lambda _: gateway.ask(host, "/realms/refsys/x", headers=headers).status_code, range(number))
        )


def test_too_many_requests_are_answered_429(slow: Gateway) -> None:
    statuses = _statuses(slow, 40, {}, f"auth.{DOMAIN}")
    assert set(statuses) == {200, 429}


def test_neither_a_greedy_user_nor_strangers_take_what_belongs_to_others(slow: Gateway) -> None:
    assert set(_statuses(slow, 30, bearer("greedy"))) == {200, 429}
    assert slow.ask(PRODUCTS, PATH, headers=bearer("modest")).status_code == 200
    assert set(_statuses(slow, 30, {})) == {401}
    assert slow.ask(PRODUCTS, PATH, headers=bearer("quiet")).status_code == 200
