"""Users of the directory in a real Keycloak, as the identity job sets it up: passwords, roles, factors, locks."""

import base64
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from tests.means import chromium
from tests.means.browser import Browser, first_login, one_time_password
from tests.means.certificates import Authority
from tests.means.openldap import (
    ANNA,
    BERT,
    DOMAIN,
    GROUPS,
    OpenLdap,
    account_password,
    first_password,
    openldap,
)
from tests.services.conftest import wait_until
from tests.services.keycloak import PASSWORD, Keycloak, running
from tests.services.portal import HOST, Visitor, application_behind_gateway, portal_behind_gateway
from tests.unit.components import gateway

from refsys.infra.kubectl_login import Issuer, credential
from refsys.platform.components import directory_config
from refsys.platform.components.applications import Hosted
from refsys.platform.components.gateway import PORTAL
from refsys.platform.components.people import Federation, People
from refsys.platform.components.realm import (
    CLIENT,
    KUBERNETES_CLIENT,
    PORTAL_CALLBACK,
    PORTAL_CLIENT,
    PORTAL_PATH,
    realm,
)
from refsys.platform.components.realm_applications import clients_of
from refsys.platform.components.realm_sync import Realm, admin_token

ADMIN = "realm-job"
SECRET = "secret-of-the-realm-job"
NEW = "a-new-long-password-of"
DEMO_PASSWORD = "password-of-the-demo-user"
QUICK_SECONDS = 1.2  # who fails twice within a second is locked for a minute
CLARA = replace(BERT, name="clara", number=30_103, mail="clara@example.org")
DORA = replace(BERT, name="dora", number=30_104, mail="dora@example.org")
EMIL = replace(ANNA, name="emil", number=30_105, mail="emil@example.org", groups=["administrators"])
PEOPLE = People([ANNA, BERT, CLARA, DORA, EMIL], GROUPS)


@dataclass(frozen=True)
class Identity:
    """Keycloak with the directory behind it."""

    keycloak: Keycloak
    directory: OpenLdap

    def apply(self, people: People = PEOPLE, applications: Sequence[Hosted] = ()) -> None:
        """What the job does, but that the tests speak HTTP."""
        must_change = self.directory.keep(people)
        federation = Federation(
            self.directory.url,
            directory_config.people(DOMAIN),
            directory_config.groups(DOMAIN),
            directory_config.account("keycloak", DOMAIN),
            writable=True,
        )
        made = realm(gateway.DOMAIN, people, federation, demo_user=True, applications=applications)
        wanted = json.loads(json.dumps(made))
        wanted["sslRequired"] = "none"
        with self.admin() as http:
            kept = Realm(http, wanted["realm"])
            secrets = dict.fromkeys((PORTAL_CLIENT, *clients_of(applications)), gateway.CLIENT_SECRET)
            kept.apply(wanted, {"demo": DEMO_PASSWORD}, secrets)
            kept.federate(wanted["federation"], account_password("keycloak"), wanted["groups"])
            kept.ask_for_new_passwords(must_change)

    def admin(self) -> httpx.Client:
        """A client that may do everything."""
        with httpx.Client(base_url=self.keycloak.url, timeout=30, trust_env=False) as http:
            token = admin_token(http, ADMIN, SECRET)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.keycloak.url, timeout=30, trust_env=False, headers=headers)

    def grant(self, user: str, password: str, **more: str) -> httpx.Response:
        """Ask for a token by password."""
        form = {"grant_type": "password", "client_id": CLIENT, "username": user, "password": password, **more}
        return httpx.post(self.keycloak.token_url, data=form, timeout=30, trust_env=False)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Identity]:
    folder = tmp_path_factory.mktemp("identity")
    options = (
        f"--truststore-paths={authority.ca_file}",
        f"--bootstrap-admin-client-id={ADMIN}",
        f"--bootstrap-admin-client-secret={SECRET}",
    )
    with openldap(folder / "openldap", authority) as directory, running(folder, *options) as keycloak:
        found = Identity(keycloak, directory)
        found.apply()
        yield found


def device(identity: Identity, client: str) -> dict[str, Any]:
    """Begin a device authorization grant (RFC 8628)."""
    address = f"{identity.keycloak.issuer}/protocol/openid-connect/auth/device"
    answer = httpx.post(address, data={"client_id": client, "scope": "openid"}, timeout=30, trust_env=False)
    answer.raise_for_status()
    begun: dict[str, Any] = answer.json()
    return begun


def device_token(identity: Identity, client: str, begun: dict[str, Any]) -> httpx.Response:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": begun["device_code"],
        "client_id": client,
    }
    return httpx.post(identity.keycloak.token_url, data=form, timeout=30, trust_env=False)


def claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def change_password(identity: Identity, name: str) -> Browser:
    """The first login of a user: the password must be changed."""
    browser = Browser()
    browser.open(device(identity, CLIENT)["verification_uri_complete"])
    browser.send(username=name, password=first_password(name))
    return browser


def test_a_second_run_changes_nothing(identity: Identity, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    identity.apply()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["message"] for line in said} == {"users read"}
    assert {line["added"] + line["removed"] + line["failed"] for line in said} == {0}


def test_the_first_password_gives_no_token_but_a_form_to_change_it(identity: Identity) -> None:
    refused = identity.grant("bert", first_password("bert"))
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    browser = change_password(identity, "bert")
    assert browser.asks_for("password-new")
    browser.send(**{"password-new": "short", "password-confirm": "short"})
    assert browser.asks_for("password-new")
    browser.send(**{"password-new": f"{NEW}-bert", "password-confirm": f"{NEW}-bert"})
    assert not browser.asks_for("password-new")
    answer = identity.grant("bert", f"{NEW}-bert")
    assert answer.status_code == 200, answer.text
    token = claims(answer.json()["access_token"])
    assert token["aud"] == "refsys"
    assert token["preferred_username"] == "bert"
    assert "prip-user" in token["realm_access"]["roles"]
    assert token["exp"] - token["iat"] == 600
    identity.directory.user("bert", f"{NEW}-bert").unbind()


def test_operators_must_set_up_a_second_factor_and_then_show_it(identity: Identity) -> None:
    browser = Browser()
    browser.open(device(identity, CLIENT)["verification_uri_complete"])
    secret = first_login(browser, "emil", first_password("emil"), f"{NEW}-emil")
    assert secret
    assert identity.grant("emil", f"{NEW}-emil").status_code == 401
    time.sleep(QUICK_SECONDS)
    assert identity.grant("emil", f"{NEW}-emil", totp="000000").status_code == 401
    code = one_time_password(secret, time.time() + 30)  # a code serves once; the next one is taken too
    assert identity.grant("emil", f"{NEW}-emil", totp=code).status_code == 200
    assert identity.grant("emil", f"{NEW}-emil", totp=code).status_code == 401


def test_kubectl_gets_groups_of_the_cluster_and_no_token_for_services(identity: Identity) -> None:
    begun = device(identity, KUBERNETES_CLIENT)
    assert device_token(identity, KUBERNETES_CLIENT, begun).json()["error"] == "authorization_pending"
    browser = Browser()
    browser.open(begun["verification_uri_complete"])
    assert first_login(browser, "anna", first_password("anna"), f"{NEW}-anna")
    time.sleep(5)  # the client may ask every five seconds
    answer = device_token(identity, KUBERNETES_CLIENT, begun)
    assert answer.status_code == 200, answer.text
    shown = claims(answer.json()["id_token"])
    assert (shown["aud"], shown["groups"]) == (KUBERNETES_CLIENT, ["kubernetes-operator"])
    access = claims(answer.json()["access_token"])
    assert "refsys" not in str(access.get("aud"))
    assert "operator" not in (access.get("realm_access") or {}).get("roles", [])


def test_kubectls_plugin_logs_in_once_and_keeps_what_it_got(identity: Identity, tmp_path: Path) -> None:
    issuer = Issuer(identity.keycloak.issuer, KUBERNETES_CLIENT, str(identity.directory.ca_file))
    kept, told = tmp_path / "cache" / "tokens.json", []

    def log_in(text: str) -> None:
        told.append(text)
        browser = Browser()
        browser.open(text.removeprefix("log in at "))
        browser.send(username="demo", password=DEMO_PASSWORD)
        if browser.asks_for("accept"):
            browser.send(accept="Yes")

    first = credential(issuer, kept, log_in)
    assert credential(issuer, kept, log_in) == first
    kept.write_text(json.dumps({**first, "ends": 0}))
    refreshed = credential(issuer, kept, log_in)
    assert refreshed["id_token"] != first["id_token"]
    assert len(told) == 1
    assert kept.stat().st_mode & 0o777 == 0o600
    assert claims(first["id_token"]).get("groups", []) == []  # the demonstration's user has no role of the cluster


def test_the_demonstrations_user_needs_no_second_factor(identity: Identity) -> None:
    answer = identity.grant("demo", DEMO_PASSWORD)
    assert answer.status_code == 200, answer.text
    roles = claims(answer.json()["access_token"])["realm_access"]["roles"]
    assert {"prip-user", "cadip-user", "ingestor-user", "operator"} <= set(roles)


def test_guessing_locks_the_user_and_nobody_else(identity: Identity) -> None:
    identity.directory.user("clara").unbind()
    for number in range(6):
        assert identity.grant("clara", f"wrong-{number}").status_code == 401
    with identity.admin() as http:
        (user,) = http.get("/admin/realms/refsys/users", params={"username": "clara", "exact": "true"}).json()
        status = http.get(f"/admin/realms/refsys/attack-detection/brute-force/users/{user['id']}").json()
    assert status["disabled"] is True
    assert identity.grant("demo", DEMO_PASSWORD).status_code == 200


@pytest.mark.parametrize("grant", ["client_credentials", "authorization_code", "implicit"])
def test_public_clients_have_no_other_grants(identity: Identity, grant: str) -> None:
    form = {"grant_type": grant, "client_id": KUBERNETES_CLIENT, "code": "x", "redirect_uri": "https://example.org"}
    assert httpx.post(identity.keycloak.token_url, data=form, trust_env=False).status_code in (400, 401)
    form = {"grant_type": "password", "client_id": KUBERNETES_CLIENT, "username": "demo", "password": "x"}
    assert httpx.post(identity.keycloak.token_url, data=form, trust_env=False).status_code in (400, 401)


def test_a_user_who_is_not_declared_any_more_is_out(identity: Identity) -> None:
    identity.apply(replace(PEOPLE, people=[person for person in PEOPLE.people if person.name != "dora"]))
    assert identity.grant("dora", first_password("dora")).status_code == 401
    with identity.admin() as http:
        assert http.get("/admin/realms/refsys/users", params={"username": "dora", "exact": "true"}).json() == []


def test_a_group_gives_exactly_its_roles(identity: Identity) -> None:
    fewer = [replace(group, roles=["cadip-user"]) if group.name == "users" else group for group in GROUPS]
    identity.apply(replace(PEOPLE, groups=fewer))
    with identity.admin() as http:
        found = {group["name"]: group["id"] for group in http.get("/admin/realms/refsys/groups").json()}
        roles = http.get(f"/admin/realms/refsys/groups/{found['users']}/role-mappings/realm").json()
    assert {role["name"] for role in roles} == {"cadip-user"}
    identity.apply()


@pytest.fixture(scope="module")
def portal(identity: Identity, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gateway.Gateway]:
    with portal_behind_gateway(identity.keycloak, tmp_path_factory.mktemp("portal")) as found:
        yield found


@pytest.fixture
def visitor(portal: gateway.Gateway) -> Iterator[Visitor]:
    with portal.client() as http:
        yield Visitor(portal, http)


def test_an_operator_logs_in_to_the_portal_in_a_browser(identity: Identity, visitor: Visitor) -> None:
    page = visitor.log_in("demo", DEMO_PASSWORD)
    assert (page.status_code, page.json()) == (200, "read by demo")
    token = identity.grant("demo", DEMO_PASSWORD).json()["access_token"]
    kept, visitor.http.cookies = visitor.http.cookies, httpx.Cookies()
    assert visitor.open(PORTAL_PATH, Authorization=f"Bearer {token}").status_code == 200
    visitor.http.cookies.set("__Host-portal-refresh_token", kept["__Host-portal-refresh_token"], gateway.HOST)
    assert visitor.open(PORTAL_PATH).json() == "read by demo"
    gone = httpx.URL(visitor.open(PORTAL.logout).headers["location"])
    done = httpx.get(gone, timeout=30, trust_env=False)
    assert (done.status_code, "logged out" in done.text) == (200, True), done.text
    assert visitor.open(PORTAL_PATH).status_code == 302
    visitor.http.cookies.set("__Host-portal-refresh_token", kept["__Host-portal-refresh_token"], gateway.HOST)
    assert visitor.open(PORTAL_PATH).status_code == 302


def test_a_real_browser_takes_the_cookies_and_forgets_them(portal: gateway.Gateway, tmp_path: Path) -> None:
    page_url, text = f"https://{HOST}{PORTAL_PATH}", "document.body.innerText"
    found = f"--host-resolver-rules=MAP {HOST} {gateway.HOST}:{portal.port}"
    with chromium.browser(tmp_path, found) as running_browser, running_browser.page(1280) as page:

        def shows(script: str, what: str) -> bool:
            with suppress(RuntimeError):  # on its way to the next page
                return what in str(page.value(script))
            return False

        def cookies() -> set[str]:
            kept = page.call("Network.getCookies", urls=[page_url])["cookies"]
            return {cookie["name"].removeprefix("__Host-portal-") for cookie in kept}

        page.open(page_url)
        form = f"username.value = 'demo', password.value = '{DEMO_PASSWORD}', document.forms[0].submit()"
        page.value(form)
        wait_until(lambda: shows("location.href", page_url) and shows(text, "read by demo"))
        assert cookies() == {"bearer_token", "id_token", "refresh_token", "oauth_hmac", "oauth_expires"}
        assert page.value("document.cookie") == ""
        page.open(f"https://{HOST}{PORTAL.logout}")
        wait_until(lambda: shows(text, "logged out"))
        assert cookies() == set()
        page.open(page_url)
        wait_until(lambda: shows(text, "Sign In"))


def test_who_is_no_operator_reads_that_in_the_portal(visitor: Visitor) -> None:
    page = visitor.log_in("reader", PASSWORD)
    assert page.status_code == 403
    assert page.json()["error"]["message"] == "user reader lacks the role operator: ask the operator for it"


@pytest.mark.parametrize(
    "changes",
    [{"redirect_uri": f"https://elsewhere.{gateway.DOMAIN}{PORTAL_CALLBACK}"}, {"redirect_uri": f"https://{HOST}/"}],
)
def test_keycloak_leads_nobody_elsewhere(identity: Identity, visitor: Visitor, changes: dict[str, str]) -> None:
    asked = httpx.URL(visitor.open(PORTAL_PATH).headers["location"]).copy_merge_params(changes)
    assert httpx.get(asked, timeout=30, trust_env=False).status_code == 400


def test_the_portals_client_has_no_other_grants(identity: Identity, visitor: Visitor) -> None:
    client = {"client_id": PORTAL_CLIENT, "client_secret": gateway.CLIENT_SECRET}
    assert identity.grant("demo", DEMO_PASSWORD, **client).json()["error"] == "unauthorized_client"
    form = {"grant_type": "client_credentials", **client}
    answer = httpx.post(identity.keycloak.token_url, data=form, trust_env=False)
    assert answer.json()["error"] == "unauthorized_client"
    # Without a proof key there is no code either.
    asked = httpx.URL(visitor.open(PORTAL_PATH).headers["location"]).copy_remove_param("code_challenge")
    refused = httpx.get(asked.copy_remove_param("code_challenge_method"), timeout=30, trust_env=False)
    assert "code_challenge_method" in refused.headers["location"]


NOTES = replace(gateway.NOTES, interfaces=["auxip", "ingestor"])
NOTES_URL = f"https://notes.{gateway.DOMAIN}/"


@pytest.fixture(scope="module")
def hosted(identity: Identity) -> Iterator[Identity]:
    identity.apply(applications=[NOTES])
    yield identity
    identity.apply()


def test_a_real_browser_logs_in_to_an_application_which_learns_who_it_is(hosted: Identity, tmp_path: Path) -> None:
    with application_behind_gateway(hosted.keycloak, NOTES, tmp_path) as before:
        found = f"--host-resolver-rules=MAP notes.{gateway.DOMAIN} {gateway.HOST}:{before.port}"
        with chromium.browser(tmp_path, found) as running_browser, running_browser.page(1280) as page:

            def shows(what: str) -> bool:
                with suppress(RuntimeError):  # on its way to the next page
                    return what in str(page.value("document.body.innerText"))
                return False

            page.open(NOTES_URL)
            page.value(f"username.value = 'demo', password.value = '{DEMO_PASSWORD}', document.forms[0].submit()")
            wait_until(lambda: shows("read by demo"))
            assert shows("notes-reader") and shows("notes-writer") and not shows("operator")
            # What its own page sends comes with what the browser says of it.
            page.value("fetch('/note', {method: 'POST'}).then(a => a.text()).then(t => document.body.innerText = t)")
            wait_until(lambda: shows("written by demo"))
            page.open(f"{NOTES_URL}logout")
            wait_until(lambda: shows("logged out"))


def test_who_has_no_role_of_an_application_is_told_so(hosted: Identity, tmp_path: Path) -> None:
    with application_behind_gateway(hosted.keycloak, NOTES, tmp_path) as before, before.client() as http:
        page = Visitor(before, http, NOTES_URL, "/callback").log_in("reader", PASSWORD)
    assert page.status_code == 403 and "none of its roles is yours" in page.text


def test_an_application_asks_as_itself_and_may_what_it_declares(hosted: Identity) -> None:
    form = {"grant_type": "client_credentials", "client_secret": gateway.CLIENT_SECRET}
    own = httpx.post(hosted.keycloak.token_url, data={**form, "client_id": "app-notes-service"}, trust_env=False)
    found = claims(own.json()["access_token"])
    assert sorted(found["realm_access"]["roles"]) == ["ingestor-user", "prip-user"]
    assert "refsys" in found["aud"]
    other = httpx.post(hosted.keycloak.token_url, data={**form, "client_id": "app-notes"}, trust_env=False)
    assert other.json()["error"] == "unauthorized_client"


def test_clients_and_roles_of_an_application_go_with_it(hosted: Identity) -> None:
    def known() -> set[str]:
        with hosted.admin() as http:
            clients = http.get("/admin/realms/refsys/clients", params={"max": "1000"}).json()
            roles = http.get("/admin/realms/refsys/roles", params={"max": "1000"}).json()
        return {client["clientId"] for client in clients} | {role["name"] for role in roles}

    own = {"app-notes", "app-notes-service", "notes-reader", "notes-writer"}
    assert own < known()
    before = known()
    hosted.apply()
    assert known() == before - own
    assert not [
        name
        for name in claims(hosted.grant("demo", DEMO_PASSWORD).json()["access_token"])["realm_access"]["roles"]
        if name in own
    ]


def test_no_password_is_in_the_log(identity: Identity) -> None:
    log = Path(identity.keycloak.log).read_text()
    for hidden in (SECRET, gateway.CLIENT_SECRET, account_password("keycloak"), first_password("bert"), NEW):
        assert hidden not in log
        assert base64.b64encode(hidden.encode()).decode() not in log
