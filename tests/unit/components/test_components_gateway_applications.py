"""Hosted applications at the real Envoy: who comes in, what they are told, and what of them is not for the outside."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
import yaml
from tests.unit.components.gateway import DOMAIN, ISSUER, NOTES, Gateway, Tls, bearer, running

from refsys.platform.components.application_front import LOOPBACK, front_config
from refsys.platform.components.applications import CALLBACK, LOGOUT
from refsys.platform.components.gateway_config import envoy_secret

HOST = f"notes.{DOMAIN}"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Accept": "application/json"}
OWN = {"Origin": f"https://{HOST}"}
PREFIX = "__Host-app-notes-"


def with_roles(*roles: str) -> dict[str, str]:
    return bearer("anna", preferred_username="anna", realm_access={"roles": list(roles)})


@dataclass
class Visitor:
    """A browser that begins without cookies."""

    gateway: Gateway
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, method: str = "GET", headers: dict[str, str] = HTML) -> httpx.Response:
        shown = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        answer = self.gateway.ask(HOST, path, method, headers=headers | shown)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if "expires=Thu, 01 Jan 1970" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def log_in(self, path: str = "/") -> None:
        answer = self.ask(path)
        assert answer.status_code == 302, answer.text
        address, _, query = answer.headers["location"].partition("?")
        assert address == f"{ISSUER}/protocol/openid-connect/auth"
        asked = dict(parse_qsl(query))
        assert (asked["client_id"], asked["redirect_uri"]) == ("app-notes", f"https://{HOST}{CALLBACK}")
        answer = self.ask(f"{CALLBACK}?{urlencode({'code': 'right', 'state': asked['state']})}")
        assert (answer.status_code, answer.headers["location"]) == (302, f"https://{HOST}{path}"), answer.text


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def gateway(envoy: Path, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(envoy, tls, tmp_path_factory.mktemp("gateway-applications"), applications=[NOTES]) as found:
        yield found


@pytest.fixture
def visitor(gateway: Gateway) -> Visitor:
    return Visitor(gateway)


def test_after_a_login_the_application_is_told_who_asks_and_sees_no_token(visitor: Visitor) -> None:
    visitor.log_in("/passes?day=1")
    for headers in (HTML, JSON, {"Accept": "image/png"}):
        page = visitor.ask("/passes", headers=headers)
        assert (page.status_code, page.text) == (200, "/passes https")
        assert page.headers["x-was-asked-with-x-refsys-user"] == "anna"
        assert json.loads(page.headers["x-was-asked-with-x-refsys-roles"]) == ["notes-writer"]
        assert page.headers["x-was-asked-with-authorization"] == page.headers["x-was-asked-with-cookie"] == ""


def test_who_asks_cannot_be_made_up(gateway: Gateway, visitor: Visitor) -> None:
    forged = {"X-Refsys-User": "root", "X-Refsys-Roles": '["notes-writer"]'}
    assert visitor.ask("/", headers=HTML | forged).status_code == 302
    assert gateway.ask(HOST, "/", headers=JSON | forged).status_code == 401
    page = gateway.ask(HOST, "/", headers=with_roles("notes-reader", "prip-user") | forged)
    assert page.headers["x-was-asked-with-x-refsys-user"] == "anna"
    assert json.loads(page.headers["x-was-asked-with-x-refsys-roles"]) == ["notes-reader", "prip-user"]
    # A token that names nobody, and no role.
    page = gateway.ask(HOST, "/", headers=bearer("anna", preferred_username=None, realm_access=None) | forged)
    assert page.status_code == 403
    page = gateway.ask(
        HOST,
        "/",
        headers=with_roles("notes-reader")
        | bearer("anna", preferred_username=None, realm_access={"roles": ["notes-reader"]})
        | forged,
    )
    assert "root" not in page.headers.get("x-was-asked-with-x-refsys-user", "")


def test_only_the_applications_own_roles_open_it(gateway: Gateway) -> None:
    for roles in (["notes-reader"], ["prip-user", "notes-writer"]):
        assert gateway.ask(HOST, "/", headers=with_roles(*roles)).status_code == 200
    for roles in ([], ["prip-user", "operator"], ["notes"], ["notes-writer-not"], ["sra-viewer"]):
        answer = gateway.ask(HOST, "/", headers=with_roles(*roles) | JSON)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "Gateway403")
        assert answer.headers["x-frame-options"] == "DENY"


def test_who_has_no_role_gets_a_page_that_says_so(gateway: Gateway) -> None:
    answer = gateway.ask(HOST, "/", headers=with_roles("prip-user") | HTML)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert "none of its roles is yours" in answer.text and f'href="{LOGOUT}"' in answer.text


def test_a_token_for_somebody_else_is_no_login(gateway: Gateway) -> None:
    answer = gateway.ask(HOST, "/", headers=bearer(aud="other", realm_access={"roles": ["notes-reader"]}) | JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "Gateway401")
    assert gateway.ask(HOST, "/", headers=bearer(exp=1) | HTML).status_code == 401


def test_without_a_session_what_is_no_page_is_refused_and_not_sent_elsewhere(visitor: Visitor) -> None:
    for method, headers in (("GET", JSON), ("POST", HTML | OWN), ("DELETE", JSON | OWN)):
        assert visitor.ask("/notes", method, headers).status_code == 401, method
    assert visitor.cookies == {}


def test_what_changes_something_comes_from_its_own_pages(visitor: Visitor) -> None:
    visitor.log_in()
    assert visitor.ask("/notes", "POST", JSON | OWN | {"Content-Length": "0"}).status_code == 200
    for origin in (
        {},
        {"Origin": "https://elsewhere.example"},
        {"Origin": f"https://prip.{DOMAIN}"},
        {"Origin": "null"},
    ):
        answer = visitor.ask("/notes", "POST", JSON | origin | {"Content-Length": "0"})
        assert answer.status_code == 403, origin


def test_programs_come_with_a_token_and_need_no_origin(gateway: Gateway) -> None:
    headers = with_roles("notes-writer") | {"Content-Length": "0"}
    answer = gateway.ask(HOST, "/notes", "POST", headers=headers)
    assert (answer.status_code, answer.headers["x-was-asked-with-authorization"]) == (200, "")


@pytest.mark.parametrize("path", ["/health", "/metrics", "/health/x", "/x/../metrics", "/x/..//metrics"])
def test_what_is_for_operators_is_not_outside(gateway: Gateway, path: str) -> None:
    assert gateway.ask(HOST, path, headers=with_roles("notes-writer")).status_code == 404


def test_cookies_of_an_application_open_no_other_host(gateway: Gateway, visitor: Visitor) -> None:
    visitor.log_in()
    assert all(name.startswith(PREFIX) for name in visitor.cookies)
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    answer = gateway.ask(f"operations.{DOMAIN}", "/operations/v1/portal", headers=HTML | {"Cookie": cookies})
    assert answer.status_code == 302


def test_pages_may_be_shown_where_they_say_nothing_else(gateway: Gateway) -> None:
    answer = gateway.ask(HOST, "/", headers=with_roles("notes-reader"))
    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert answer.headers["x-frame-options"] == "DENY" and "x-powered-by" not in answer.headers


def upgrade(gateway: Gateway, cookies: dict[str, str], origin: str) -> bytes:
    shown = "; ".join(f"{name}={value}" for name, value in cookies.items())
    head = (
        f"GET /session HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Origin: {origin}\r\nCookie: {shown}\r\n\r\n"
    )
    return gateway.raw(HOST, head.encode() + b"ping")


def test_websockets_are_for_its_own_pages_and_who_is_logged_in(gateway: Gateway, visitor: Visitor) -> None:
    assert upgrade(gateway, {}, OWN["Origin"]).startswith(b"HTTP/1.1 401")
    visitor.log_in()
    answer = upgrade(gateway, visitor.cookies, OWN["Origin"])
    assert answer.startswith(b"HTTP/1.1 101") and answer.endswith(b"ping"), answer
    answer = upgrade(gateway, visitor.cookies, "https://elsewhere.example")
    assert re.match(rb"HTTP/1.1 40[013]", answer), answer


def test_logging_out_ends_the_session(visitor: Visitor) -> None:
    visitor.log_in()
    answer = visitor.ask(LOGOUT)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{ISSUER}/protocol/openid-connect/logout")
    assert visitor.cookies == {}
    assert visitor.ask("/").status_code == 302


@pytest.mark.parametrize("server", [LOOPBACK, "notes.app-notes.svc.cluster.local"])
def test_envoy_accepts_the_sidecars_configuration(envoy: Path, tls: Tls, tmp_path: Path, server: str) -> None:
    secret = tmp_path / "certificate.yaml"
    secret.write_text(yaml.safe_dump(envoy_secret(str(tls.file))))
    config = tmp_path / "envoy.yaml"
    config.write_text(yaml.safe_dump(front_config("app-notes", server, 8080, str(secret))))
    command: list[str | Path] = [envoy, "--mode", "validate", "--config-path", config]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]
