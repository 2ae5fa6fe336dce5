"""What the gateway does for hosted applications: roles that open them, and headers that tell them who asks.

The application sees no token and no cookie, so that it can act for nobody; what comes with its own name of a header
that the gateway writes is written over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from refsys.platform.components.gateway_filters import (
    DEFAULT_HEADERS,
    EXTENSION,
    JWT,
    SECURITY_HEADERS,
    TOKEN,
    Config,
    header,
    status_filter,
)
from refsys.platform.components.gateway_login import awake, sleeping

USER_HEADER, ROLES_HEADER = "x-refsys-user", "x-refsys-roles"
SESSION_SECONDS = 36_000
"""How long a WebSocket may be open, as a session of the realm."""

_RBAC = "envoy.filters.http.rbac"
_RBAC_TYPE = f"{EXTENSION}filters.http.rbac.v3."
_CSRF = "envoy.filters.http.csrf"
_HIDDEN = ("cookie", "authorization", "oauth2-access-token", USER_HEADER, ROLES_HEADER)
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>No access</title></head>
<body><h1>No access</h1>
<p>Your login is right, but it does not open this application: none of its roles is yours.
An operator of the environment can give you one.</p>
<p><a href="/logout">Log out</a>, to come back as somebody else.</p></body></html>
"""


@dataclass(frozen=True)
class Hosting:
    """What is particular to an application behind the gateway."""

    roles: Sequence[str]
    """Of the realm; whoever has one of them comes in."""
    content_policy: str
    """Content-Security-Policy of pages that bring none."""
    closed_paths: Sequence[str] = ()
    """For everybody outside there is nothing."""
    websocket: bool = False


def hosting_filters() -> list[Config]:
    """Return the filters after that of tokens; they are at work only on the routes of applications."""
    policy = {"@type": f"{EXTENSION}filters.http.csrf.v3.CsrfPolicy", "filter_enabled": _always("csrf")}
    return [
        {"name": _RBAC, "typed_config": {"@type": f"{_RBAC_TYPE}RBAC"}},
        sleeping(_CSRF, policy),
    ]


def for_applications() -> Config:
    """Return the setting of a route that what changes something comes from its own pages alone."""
    return awake(_CSRF)


def answered_as_told(hosting: Hosting) -> list[Config]:
    """Return the routes of what is not for the outside."""
    return [
        {"match": {"path_separated_prefix": path}, "direct_response": {"status": 404}} for path in hosting.closed_paths
    ]


def of_program(path: str) -> Config:
    """Return what a request of a program looks like: it brings a token."""
    return {"prefix": path, "headers": [{"name": "authorization", "present_match": True}]}


def websocket(path: str, host: str) -> Config:
    """Return what the beginning of a WebSocket of the application's own pages looks like."""
    exact = {"upgrade": {"exact": "websocket", "ignore_case": True}, "origin": {"exact": f"https://{host}"}}
    return {"prefix": path, "headers": [{"name": name, "string_match": match} for name, match in exact.items()]}


def of_user(route: Config, hosting: Hosting, *, lasting: bool = False) -> Config:
    """Return the route for who has one of the roles; the application is told who it is. `lasting`: a WebSocket."""
    names = {USER_HEADER: "preferred_username", ROLES_HEADER: "realm_access:roles"}
    told = [header(name, f"%DYNAMIC_METADATA({JWT}:{TOKEN}:{claim})%") for name, claim in names.items()]
    settings = route["typed_per_filter_config"] | {_RBAC: _only(hosting.roles)}
    action = route["route"]
    if lasting:
        # Without retries: what was said once is not said again.
        action = {"cluster": action["cluster"], "timeout": "0s", "idle_timeout": f"{SESSION_SECONDS}s"}
        action["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    return route | {
        "route": action,
        "typed_per_filter_config": settings,
        "request_headers_to_remove": list(_HIDDEN),
        "request_headers_to_add": told,
    }


def page_headers(hosting: Hosting) -> Config:
    """Return the setting of a virtual host that its pages may be shown, where they say nothing themselves."""
    return {"response_headers_to_add": [header("content-security-policy", hosting.content_policy, replace=False)]}


def forbidden() -> list[Config]:
    """Return how it looks when a token is right, and opens something else; people get a page."""
    shown = {"metadata_filter": {"matcher": _of_token("sub", {"present_match": True}), "match_if_key_not_found": False}}
    denied = [status_filter("EQ", 403), shown]
    page = {"header_filter": {"header": {"name": "accept", "string_match": {"contains": "text/html"}}}}
    headers = [header(key, value) for key, value in {**SECURITY_HEADERS, **DEFAULT_HEADERS}.items()]
    return [
        {
            "filter": {"and_filter": {"filters": [*denied, page]}},
            "headers_to_add": headers,
            "body_format_override": {
                "text_format_source": {"inline_string": _PAGE},
                "content_type": "text/html; charset=utf-8",
            },
        },
        {"filter": {"and_filter": {"filters": denied}}, "headers_to_add": headers},
    ]


def _only(roles: Sequence[str]) -> Config:
    principals = [
        {"sourced_metadata": {"metadata_matcher": _of_token("realm_access.roles", _listed(role))}} for role in roles
    ]
    policy = {"permissions": [{"any": True}], "principals": principals}
    rules = {"action": "ALLOW", "policies": {"roles": policy}}
    return {"@type": f"{_RBAC_TYPE}RBACPerRoute", "rbac": {"rules": rules}}


def _listed(role: str) -> Config:
    return {"list_match": {"one_of": {"string_match": {"exact": role}}}}


def _of_token(claim: str, value: Config) -> Config:
    return {"filter": JWT, "path": [{"key": key} for key in (TOKEN, *claim.split("."))], "value": value}


def _always(name: str) -> Config:
    return {"default_value": {"numerator": 100, "denominator": "HUNDRED"}, "runtime_key": f"{name}.enabled"}
