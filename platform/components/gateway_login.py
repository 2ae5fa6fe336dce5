"""Login in a browser: Envoy gets a token from the realm for who asks for a page, and keeps it in cookies.

The token then goes through the filters of all requests, and the service checks it, as it does those of programs.
Nothing but reading pages is open to cookies: whatever else comes with one, and no token, is sent away as before.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from refsys.platform.components.gateway_filters import (
    DEFAULT_HEADERS,
    EXTENSION,
    SECURITY_HEADERS,
    Config,
    Realm,
    header,
    limit,
)

LOGIN_SECONDS = 1800
"""How long somebody may take, as Keycloak has it: a second factor is set up on the way."""

_ROUTE_TYPE = "type.googleapis.com/envoy.config.route.v3."
_COOKIES = (
    "bearer_token",
    "oauth_hmac",
    "oauth_expires",
    "id_token",
    "refresh_token",
    "oauth_nonce",
    "code_verifier",
)


@dataclass(frozen=True)
class Login:
    """Pages of a host that people read in a browser, logged in as users of the realm's confidential `client`."""

    client: str
    pages: Sequence[str]
    """Paths; what is below them belongs to them."""
    callback: str
    """Path to which the realm sends people back; it is one of the pages."""
    logout: str
    """Path that ends the session; it is one of the pages."""
    client_file: str
    """Where the client's secret is, as `login_secret` writes it."""
    cookies_file: str
    """Where the secret is that cookies are sealed with."""
    requests_per_second: int
    """Of all that have no token; each may make the gateway ask the realm."""
    whole_host: bool = False
    """What is no request for a page comes by the login too, and is refused, not sent there, without a session."""


def login_secret(name: str, value: str) -> str:
    """Return the file by which Envoy gets a secret; whenever it is replaced, Envoy reads it again."""
    resource = {
        "@type": f"{EXTENSION}transport_sockets.tls.v3.Secret",
        "name": name,
        "generic_secret": {"secret": {"inline_string": value}},
    }
    return json.dumps({"resources": [resource]})


def login_filters(login: Login, host: str, realm: Realm) -> list[Config]:
    """Return the filters that come before all others; they are at work only on the routes of `of_browsers`."""
    headers, requests, oauth = _names(login)
    oauth_type = f"{EXTENSION}filters.http.oauth2.v3.OAuth2"
    return [
        sleeping(headers, _answers()),
        sleeping(requests, limit("login", login.requests_per_second)),
        sleeping(oauth, {"@type": oauth_type, "config": _oauth(login, host, realm)}),
    ]


def by_login(login: Login) -> Config:
    """Return the setting of a route that the filters are at work."""
    return awake(*_names(login))


def awake(*names: str) -> Config:
    """Return the setting of a route that filters are at work which sleep elsewhere."""
    return {name: {"@type": f"{_ROUTE_TYPE}FilterConfig", "config": {}} for name in names}


def sleeping(name: str, config: Config) -> Config:
    """Return a filter that is at work only where a route wakes it."""
    return {"name": name, "typed_config": config, "disabled": True}


def _names(login: Login) -> tuple[str, str, str]:
    headers, requests, oauth = (f"refsys.{kind}.{login.client}" for kind in ("headers", "ratelimit", "oauth2"))
    return headers, requests, oauth


def of_browsers(path: str) -> Config:
    """Return what a request for a page looks like: a browser reads it, and there is no token."""
    return {
        "path_separated_prefix": path,
        "headers": [
            {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD"}}},
            {"name": "accept", "string_match": {"contains": "text/html"}},
            {"name": "authorization", "present_match": False},
            {"name": "oauth2-access-token", "present_match": False},
        ],
    }


def without_session(login: Login, realm: Realm) -> Config:
    """Return the route of who logs out when the token has ended: Keycloak asks whether that is meant.

    Envoy would send them there with an empty token, which Keycloak takes for an attack.
    """
    match = of_browsers(login.logout)
    none = {"string_match": {"contains": f"{_cookie(login, 'id_token')}="}, "invert_match": True}
    match["headers"].append({"name": "cookie", "treat_missing_header_as_empty": True, **none})
    address = urlsplit(realm.endpoint("logout"))
    to = {"host_redirect": address.netloc, "path_redirect": f"{address.path}?client_id={login.client}"}
    return {"match": match, "redirect": {**to, "response_code": "FOUND"}}


def _oauth(login: Login, host: str, realm: Realm) -> Config:
    return {
        "token_endpoint": {"uri": realm.token_url, "cluster": realm.cluster, "timeout": "5s"},
        "authorization_endpoint": realm.endpoint("auth"),
        "end_session_endpoint": realm.endpoint("logout"),
        # Keycloak says that it is done; the page itself would only begin the next login.
        "post_logout_redirect_uri": {"disabled": True},
        "redirect_uri": f"https://{host}{login.callback}",
        "redirect_path_matcher": {"path": {"exact": login.callback}},
        "signout_path": {"path": {"exact": login.logout}},
        "allowed_redirect_domains": [host],
        "credentials": {
            "client_id": login.client,
            "token_secret": _secret("client", login.client_file),
            "hmac_secret": _secret("cookies", login.cookies_file),
            "cookie_names": {name: _cookie(login, name) for name in _COOKIES},
        },
        # Strict would lose them on the way back from the realm, and after a link in a mail.
        "cookie_configs": {f"{name}_cookie_config": {"same_site": "LAX"} for name in _COOKIES},
        "auth_scopes": ["openid"],
        "auth_type": "BASIC_AUTH",
        **({"deny_redirect_matcher": _no_pages()} if login.whole_host else {}),
        "forward_bearer_token": True,
        "csrf_token_expires_in": f"{LOGIN_SECONDS}s",
        "code_verifier_token_expires_in": f"{LOGIN_SECONDS}s",
    }


def _no_pages() -> list[Config]:
    """What of a whole host is no request for a page: any of these."""
    reads = {"safe_regex": {"regex": "GET|HEAD"}}
    page = {"string_match": {"contains": "text/html"}, "treat_missing_header_as_empty": True}
    return [
        {"name": ":method", "string_match": reads, "invert_match": True},
        {"name": "accept", **page, "invert_match": True},
    ]


def _cookie(login: Login, name: str) -> str:
    # Browsers take such a name from this host alone, and from no neighbour.
    return f"__Host-{login.client}-{name}"


def _secret(name: str, file: str) -> Config:
    return {"name": name, "sds_config": {"path_config_source": {"path": file}, "resource_api_version": "V3"}}


def _answers() -> Config:
    """Redirects leave before the router, which gives all other answers their headers."""
    headers = [header(key, value) for key, value in SECURITY_HEADERS.items()]
    headers += [header(key, value, replace=False) for key, value in DEFAULT_HEADERS.items()]
    headers.append(header("cache-control", "no-store", replace=False))
    return {
        "@type": f"{EXTENSION}filters.http.header_mutation.v3.HeaderMutation",
        "mutations": {"response_mutations": [{"append": each} for each in headers]},
    }
