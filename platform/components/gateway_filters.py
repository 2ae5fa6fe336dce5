"""What the gateway asks of a request before it hands it on: a token, not too often, not too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Config = dict[str, Any]

EXTENSION = "type.googleapis.com/envoy.extensions."
MAX_USERS = 10_000
KEYS_SECONDS = 60
CLOCK_SKEW_SECONDS = 10

JWT = "envoy.filters.http.jwt_authn"
_TOTAL = "envoy.filters.http.local_ratelimit"
_USERS = "refsys.user_ratelimit"
_SIZE = "envoy.filters.http.buffer"
_LIMIT_TYPE = f"{EXTENSION}filters.http.local_ratelimit.v3.LocalRateLimit"
_JWT_TYPE = f"{EXTENSION}filters.http.jwt_authn.v3."
TOKEN = "token"  # noqa: S105 - names the requirement and the payload
_CHALLENGE = 'Bearer realm="refsys", error="invalid_token"'

# For what programs read, which is all but Keycloak's pages; those bring their own.
SECURITY_HEADERS: Mapping[str, str] = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
}
DEFAULT_HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
HIDDEN_HEADERS = ("server", "x-powered-by", "x-envoy-upstream-service-time")


@dataclass(frozen=True)
class Realm:
    """Whose tokens are taken; `cluster` is Envoy's name of the service that publishes the keys at `jwks_url`."""

    issuer: str
    jwks_url: str
    audience: str
    cluster: str
    passwords: bool = False
    """Requests with `Authorization: Basic` pass: the service behind asks the realm for the user's token."""

    @property
    def token_url(self) -> str:
        """Where the gateway itself asks for tokens, beside the keys."""
        return f"{self.jwks_url.rpartition('/')[0]}/token"

    def endpoint(self, name: str) -> str:
        """Return an endpoint of the protocol as browsers reach it."""
        return f"{self.issuer}/protocol/openid-connect/{name}"


def filters(realm: Realm, request_bytes: int, of_users: Sequence[Config] = ()) -> list[Config]:
    """Return the filters in their order.

    Who is refused takes nothing of what others may: strangers and greedy users are sent away before all requests are
    counted together, and a body is taken from nobody before. `of_users` look at who it is that showed a token.
    """
    return [
        _filter(JWT, _authentication(realm)),
        *of_users,
        _filter(_USERS, {"@type": _LIMIT_TYPE, "stat_prefix": "user_rate_limit"}),
        _filter(_TOTAL, {"@type": _LIMIT_TYPE, "stat_prefix": "rate_limit"}),
        _filter(_SIZE, {"@type": f"{EXTENSION}filters.http.buffer.v3.Buffer", "max_request_bytes": request_bytes}),
    ]


def with_token() -> Config:
    """Return the setting of a route that only requests with a token of the realm pass."""
    return {JWT: {"@type": f"{_JWT_TYPE}PerRouteConfig", "requirement_name": TOKEN}}


def without_token() -> Config:
    """Return the setting of a route that everybody passes."""
    return {JWT: {"@type": f"{_JWT_TYPE}PerRouteConfig", "disabled": True}}


def any_size() -> Config:
    """Return the setting of a virtual host whose service limits what it takes itself."""
    return {_SIZE: {"@type": f"{EXTENSION}filters.http.buffer.v3.BufferPerRoute", "disabled": True}}


def rate_limits(name: str, per_second: int) -> Config:
    """Return the setting of a virtual host: so many requests of all, and of one user at most half of them."""
    user = {
        "metadata_key": {"key": JWT, "path": [{"key": TOKEN}, {"key": "sub"}]},
        "descriptor_key": "user",
        "source": "DYNAMIC",
        "skip_if_absent": True,
    }
    of_users = {
        "descriptors": [{"entries": [{"key": "user"}], "token_bucket": _bucket(max(1, per_second // 2))}],
        "max_dynamic_descriptors": MAX_USERS,
        "always_consume_default_token_bucket": False,
        "rate_limits": [{"actions": [{"metadata": user}]}],
    }
    return {_TOTAL: limit(name, per_second), _USERS: limit(f"{name}.user", per_second) | of_users}


def local_replies(first: Sequence[Config] = ()) -> Config:
    """Return how the gateway's own answers look: OData's form, with the headers of all answers.

    Envoy answers 403 to a token for somebody else; to the client it is a token that is not valid here, 401. What
    `first` matches is answered in its own way.
    """
    headers = [header(key, value) for key, value in {**SECURITY_HEADERS, **DEFAULT_HEADERS}.items()]
    refused = {
        "filter": status_filter("EQ", 403),
        "status_code": 401,
        "headers_to_add": [*headers, header("www-authenticate", _CHALLENGE)],
    }
    others = {"filter": status_filter("GE", 400), "headers_to_add": headers}
    error = {"code": "Gateway%RESPONSE_CODE%", "message": "%LOCAL_REPLY_BODY%"}
    return {"mappers": [*first, refused, others], "body_format": {"json_format": {"error": error}}}


def limit(name: str, per_second: int) -> Config:
    """Return a limit of so many requests in a second, and twice as many at once."""
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "@type": _LIMIT_TYPE,
        "stat_prefix": f"rate_limit_{name}",
        "token_bucket": _bucket(per_second),
        "filter_enabled": {"runtime_key": f"{name}.rate_limit.enabled", **always},
        "filter_enforced": {"runtime_key": f"{name}.rate_limit.enforced", **always},
        "response_headers_to_add": [header("retry-after", "1")],
    }


def header(key: str, value: str, *, replace: bool = True) -> Config:
    """Return a header that is added to answers, in place of the service's own or only where it has none."""
    action = "OVERWRITE_IF_EXISTS_OR_ADD" if replace else "ADD_IF_ABSENT"
    return {"header": {"key": key, "value": value}, "append_action": action}


def _authentication(realm: Realm) -> Config:
    prefixes = [{"name": "authorization", "value_prefix": f"{scheme} "} for scheme in ("Bearer", "bearer")]
    provider = {
        "issuer": realm.issuer,
        "audiences": [realm.audience],
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW_SECONDS,
        "forward": True,
        "from_headers": [*prefixes, {"name": "oauth2-access-token"}],
        "payload_in_metadata": TOKEN,
        "remote_jwks": {
            "http_uri": {"uri": realm.jwks_url, "cluster": realm.cluster, "timeout": "5s"},
            "cache_duration": f"{KEYS_SECONDS}s",
            # Fetched before the first request; the gateway starts also while the realm is away.
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "2s"},
        },
    }
    return {
        "@type": f"{_JWT_TYPE}JwtAuthentication",
        "providers": {"realm": provider},
        "requirement_map": {TOKEN: {"provider_name": "realm"}},
    }


def _bucket(per_second: int) -> Config:
    return {"max_tokens": per_second * 2, "tokens_per_fill": per_second, "fill_interval": "1s"}


def status_filter(comparison: str, status: int) -> Config:
    """Return what matches answers of a status."""
    value = {"default_value": status, "runtime_key": f"gateway.replies.{status}"}
    return {"status_code_filter": {"comparison": {"op": comparison, "value": value}}}


def _filter(name: str, config: Config) -> Config:
    return {"name": name, "typed_config": config}
