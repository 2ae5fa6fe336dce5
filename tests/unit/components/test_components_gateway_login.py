"""Logins in a browser at the real Envoy: the walk, what cookies are good for, and what they are not."""

import base64
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
from tests.unit.components.gateway import DOMAIN, ISSUER, Gateway, Tls, bearer, keep_secret, running

from refsys.platform.components.gateway import PORTAL, upstreams
from refsys.platform.components.gateway_login import LOGIN_SECONDS
from refsys.platform.components.realm import PORTAL_CALLBACK, PORTAL_PATH, portal_url
from refsys.services.overview.api import router

HOST = f"operations.{DOMAIN}"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PREFIX = "__Host-portal-"
ENDS = re.compile(r"Max-Age=(\d+)")
TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.")


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

    def begin(self, path: str = PORTAL_PATH) -> dict[str, str]:
        """Ask for a page; return with what the realm is asked."""
        answer = self.ask(path)
        assert answer.status_code == 302, answer.text
        address, _, query = answer.headers["location"].partition("?")
        assert address == f"{ISSUER}/protocol/openid-connect/auth"
        return dict(parse_qsl(query))

    def come_back(self, state: str, code: str = "right") -> httpx.Response:
        return self.ask(f"{PORTAL_CALLBACK}?{urlencode({'code': code, 'state': state})}")

    def log_in(self) -> None:
        answer = self.come_back(self.begin()["state"])
        assert (answer.status_code, answer.headers["location"]) == (302, portal_url(DOMAIN)), answer.text


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway-login")


@pytest.fixture(scope="module")
def gateway(envoy: Path, tls: Tls, folder: Path) -> Iterator[Gateway]:
    with running(envoy, tls, folder) as found:
        yield found


@pytest.fixture
def visitor(gateway: Gateway) -> Visitor:
    return Visitor(gateway)


def test_pages_are_the_services_and_only_read() -> None:
    pages = [route for route in router.routes if route.path.startswith(tuple(PORTAL.pages))]  # type: ignore[attr-defined]
    assert {route.path for route in pages} == {PORTAL_PATH, "/operations/v1/runbooks/{area}/{name}"}  # type: ignore[attr-defined]
    assert {method for route in pages for method in route.methods} == {"GET"}  # type: ignore[attr-defined]
    assert [up.app.name for up in upstreams(DOMAIN) if up.login] == ["operations"]


def test_the_realm_is_asked_with_everything_that_protects_a_login(visitor: Visitor) -> None:
    answer = visitor.ask(PORTAL_PATH)
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked["client_id"] == ["portal"]
    assert asked["response_type"] == ["code"]
    assert asked["scope"] == ["openid"]
    assert asked["redirect_uri"] == [f"https://{HOST}{PORTAL_CALLBACK}"]
    assert asked["code_challenge_method"] == ["S256"] and asked["code_challenge"]
    assert answer.headers["strict-transport-security"] and answer.headers["cache-control"] == "no-store"
    assert not {"server", "x-powered-by"} & set(answer.headers)
    for line in answer.headers.get_list("set-cookie"):
        assert f";Max-Age={LOGIN_SECONDS};" in line


def test_after_a_login_the_page_is_shown_by_the_users_token(visitor: Visitor) -> None:
    state = visitor.begin(f"{PORTAL_PATH}?x=1")["state"]
    answer = visitor.come_back(state)
    assert (answer.status_code, answer.headers["location"]) == (302, f"{portal_url(DOMAIN)}?x=1")
    kept = [line for line in answer.headers.get_list("set-cookie") if "1970" not in line]
    assert {line.partition("=")[0] for line in kept} == {
        f"{PREFIX}{name}" for name in ("bearer_token", "id_token", "refresh_token", "oauth_hmac", "oauth_expires")
    }
    for line in kept:
        attributes = {part.strip().lower() for part in line.split(";")[1:]}
        assert {"path=/", "secure", "httponly", "samesite=lax"} <= attributes, line
        assert not [part for part in attributes if part.startswith("domain")]
        assert not TOKEN.search(line), "a token is readable in the browser"
    page = visitor.ask(PORTAL_PATH)
    assert (page.status_code, page.text) == (200, f"{PORTAL_PATH} https")
    assert page.headers["x-was-asked-with-authorization"].startswith("Bearer eyJ")
    assert page.headers["x-was-asked-with-cookie"] == ""
    assert visitor.ask("/operations/v1/runbooks/chain/dead-letters").status_code == 200


def test_a_token_that_ends_is_refreshed_behind_the_users_back(visitor: Visitor) -> None:
    visitor.log_in()
    name = f"{PREFIX}refresh_token"
    visitor.cookies = {name: visitor.cookies[name]}  # browsers have dropped what ended
    page = visitor.ask(PORTAL_PATH)
    assert page.status_code == 200
    assert f"{PREFIX}bearer_token" in visitor.cookies
    assert visitor.ask(PORTAL_PATH).status_code == 200


@pytest.mark.parametrize("name", ["bearer_token", "oauth_hmac", "oauth_expires"])
def test_a_changed_cookie_leads_to_a_login(visitor: Visitor, name: str) -> None:
    visitor.log_in()
    del visitor.cookies[f"{PREFIX}refresh_token"]
    value = visitor.cookies[f"{PREFIX}{name}"]
    visitor.cookies[f"{PREFIX}{name}"] = value[:-4] + ("9999" if value[-4:] != "9999" else "9998")
    assert visitor.ask(PORTAL_PATH).status_code == 302


def test_made_up_cookies_lead_to_a_login(visitor: Visitor) -> None:
    token = bearer("anna")["Authorization"].removeprefix("Bearer ")
    visitor.cookies = {
        f"{PREFIX}bearer_token": token,
        f"{PREFIX}oauth_expires": str(int(time.time()) + 600),
        f"{PREFIX}oauth_hmac": base64.b64encode(b"0" * 32).decode(),
    }
    assert visitor.ask(PORTAL_PATH).status_code == 302
    visitor.cookies = {f"{PREFIX}refresh_token": "wrong"}
    assert visitor.ask(PORTAL_PATH).status_code == 302


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", PORTAL_PATH),
        ("PUT", PORTAL_PATH),
        ("DELETE", f"{PORTAL_PATH}/callback"),
        ("POST", "/operations/v1/runbooks/chain/dead-letters"),
        ("OPTIONS", PORTAL_PATH),
        ("GET", "/operations/v1/overview"),
        ("GET", "/operations/v1/portals"),
        ("GET", "/operations/v1/lifecycle/products"),
        ("POST", "/operations/v1/portal/../lifecycle/products"),
        ("GET", "/operations/v1/portal/../lifecycle/products"),
        ("DELETE", "/api/v1/failedProcessings/1"),
    ],
)
def test_cookies_open_nothing_but_pages(visitor: Visitor, method: str, path: str) -> None:
    visitor.log_in()
    assert visitor.ask(path, method).status_code == 401


@pytest.mark.parametrize("host", ["prip", "metadata", "cadip"])
def test_cookies_open_no_other_host(gateway: Gateway, visitor: Visitor, host: str) -> None:
    visitor.log_in()
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    answer = gateway.ask(f"{host}.{DOMAIN}", PORTAL_PATH, headers=HTML | {"Cookie": cookies})
    assert answer.status_code == 401


def test_programs_notice_nothing(gateway: Gateway) -> None:
    mine = bearer("program")
    for more in ({}, HTML):
        answer = gateway.ask(HOST, PORTAL_PATH, headers=mine | more)
        assert (answer.status_code, answer.headers["x-was-asked-with-authorization"]) == (200, mine["Authorization"])
    elsewhere = {"OAUTH2-ACCESS-TOKEN": mine["Authorization"].removeprefix("Bearer ")}
    assert gateway.ask(HOST, PORTAL_PATH, headers=elsewhere | HTML).status_code == 200
    for headers in ({}, {"Accept": "application/json"}, bearer(exp=1) | HTML, {"Authorization": "Basic eA=="} | HTML):
        answer = gateway.ask(HOST, PORTAL_PATH, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "Gateway401")


def test_a_login_that_somebody_else_began_is_refused(gateway: Gateway, visitor: Visitor) -> None:
    state = Visitor(gateway).begin()["state"]
    assert visitor.come_back(state).status_code == 401  # no cookie of a login
    visitor.begin()
    answer = visitor.come_back(state)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "Gateway401")
    assert visitor.ask(PORTAL_PATH).status_code == 302


def test_nobody_is_led_elsewhere(visitor: Visitor) -> None:
    state = visitor.begin()["state"]
    content = json.loads(base64.urlsafe_b64decode(state + "=="))
    content["url"] = "https://elsewhere.example/"
    changed = base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
    assert visitor.come_back(changed).status_code == 401


def test_a_code_that_the_realm_does_not_take_is_no_login(visitor: Visitor) -> None:
    answer = visitor.come_back(visitor.begin()["state"], "wrong")
    assert answer.status_code == 401
    assert visitor.ask(PORTAL_PATH).status_code == 302


def test_logging_out_forgets_the_cookies_and_tells_the_realm(visitor: Visitor) -> None:
    visitor.log_in()
    answer = visitor.ask(PORTAL.logout)
    assert answer.status_code == 302
    address, _, query = answer.headers["location"].partition("?")
    assert address == f"{ISSUER}/protocol/openid-connect/logout"
    asked = dict(parse_qsl(query))
    assert asked["client_id"] == "portal" and asked["id_token_hint"].startswith("eyJ")
    assert "post_logout_redirect_uri" not in asked
    for line in answer.headers.get_list("set-cookie"):
        assert "secure" in line.lower(), "browsers would keep it"
    assert visitor.cookies == {}


def test_who_logs_out_late_is_asked_by_the_realm(visitor: Visitor) -> None:
    visitor.log_in()
    name = f"{PREFIX}refresh_token"
    for cookies in ({name: visitor.cookies[name]}, {}):  # of ten minutes ago; of hours ago
        visitor.cookies = cookies
        answer = visitor.ask(PORTAL.logout)
        assert (answer.status_code, answer.headers["location"]) == (
            302,
            f"{ISSUER}/protocol/openid-connect/logout?client_id=portal",
        )


def test_strangers_do_not_make_the_gateway_ask_the_realm_without_end(
    envoy: Path, tls: Tls, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(envoy, tls, tmp_path_factory.mktemp("gateway-flood"), per_second=4) as gateway:
        stranger = Visitor(gateway, {f"{PREFIX}refresh_token": "wrong"})
        statuses = [stranger.ask(PORTAL_PATH).status_code for _ in range(40)]
        assert set(statuses) == {302, 429}
        assert gateway.ask(HOST, PORTAL_PATH, headers=bearer() | HTML).status_code == 200


def test_another_secret_of_cookies_ends_what_was_sealed_with_the_one_before(
    envoy: Path, tls: Tls, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("gateway-secrets")
    with running(envoy, tls, folder) as gateway:
        visitor = Visitor(gateway)
        visitor.log_in()
        del visitor.cookies[f"{PREFIX}refresh_token"]
        keep_secret(folder, "cookies", "another-secret")
        deadline = time.monotonic() + 10
        before = dict(visitor.cookies)
        while visitor.ask(PORTAL_PATH).status_code != 302:
            assert time.monotonic() < deadline
            visitor.cookies = dict(before)
            time.sleep(0.3)
        visitor.log_in()
        assert visitor.ask(PORTAL_PATH).status_code == 200
