"""Envoy's configuration: TLS towards users, verified TLS towards the services."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from refsys.platform.components.envoy_metrics import admin, admin_cluster, metrics_listener
from refsys.platform.components.gateway_filters import (
    DEFAULT_HEADERS,
    EXTENSION,
    HIDDEN_HEADERS,
    SECURITY_HEADERS,
    Config,
    Realm,
    any_size,
    filters,
    header,
    local_replies,
    rate_limits,
    with_token,
    without_token,
)
from refsys.platform.components.gateway_hosting import (
    Hosting,
    answered_as_told,
    for_applications,
    forbidden,
    hosting_filters,
    of_program,
    of_user,
    page_headers,
    websocket,
)
from refsys.platform.components.gateway_login import Login, by_login, login_filters, of_browsers, without_session
from refsys.platform.components.names import HEALTH_PORT, HTTPS_PORT, App

CONNECT_TIMEOUT = "5s"
IDLE_TIMEOUT = "300s"
MAX_CONNECTIONS = 10_000
BUFFER_BYTES = 65_536
REQUEST_BYTES = 2**20
HEADERS_KIB = 60
"""Of address and headers together: a $filter may be long; the services' own limits are shorter."""
HEADERS_COUNT = 64
CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
)
"""Of TLS 1.2; those of TLS 1.3 are all strong."""
CURVES = ("X25519", "P-256", "P-384")

_ROUTER = f"{EXTENSION}filters.http.router.v3.Router"
_CERTIFICATE = "certificate"


@dataclass(frozen=True)
class Upstream:
    """A service behind the gateway, and what of it the outside may reach."""

    app: App
    hosts: Sequence[str]
    paths: Sequence[str]
    """Path prefixes; anything else is 404 at the gateway."""
    timeout: str
    """For a whole response; `0s` sets no limit, since a download lasts as long as it lasts."""
    requests_per_second: int
    tokens: bool = True
    """Requests must bring a token of the realm, but those to `open_paths`."""
    open_paths: Sequence[str] = ()
    """Whole paths that everybody may read."""
    uploads: bool = False
    """Takes bodies of any size, and limits them itself."""
    client_ca: str | None = None
    """File; clients must show a certificate of one of its authorities."""
    login: Login | None = None
    """Pages that browsers may read."""
    hosting: Hosting | None = None
    """A hosted application: all of it is for browsers, and it is told who asks."""

    @property
    def cluster(self) -> str:
        """Name of its Envoy cluster."""
        return self.app.name


def envoy_config(upstreams: Sequence[Upstream], secret_file: str, ca_file: str, realm: Realm) -> Config:
    """Return Envoy's bootstrap configuration.

    `secret_file` says where its own certificate is (`envoy_secret`), `ca_file` is the issuer of the services'.
    """
    return {
        "node": {"id": "gateway", "cluster": "refsys"},
        "admin": admin(),
        "static_resources": {
            "listeners": [_public_listener(upstreams, secret_file, realm), _health_listener(), metrics_listener()],
            "clusters": [*(_cluster(upstream, ca_file) for upstream in upstreams), admin_cluster()],
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{EXTENSION}resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": MAX_CONNECTIONS,
                    },
                }
            ]
        },
    }


def _public_listener(upstreams: Sequence[Upstream], secret_file: str, realm: Realm) -> Config:
    return {
        "name": "public",
        "address": _address("0.0.0.0", HTTPS_PORT),  # noqa: S104 - the pod's own address
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "listener_filters": [
            {
                "name": "envoy.filters.listener.tls_inspector",
                "typed_config": {"@type": f"{EXTENSION}filters.listener.tls_inspector.v3.TlsInspector"},
            }
        ],
        "filter_chains": _chains(upstreams, secret_file, realm),
    }


def _chains(upstreams: Sequence[Upstream], secret_file: str, realm: Realm) -> list[Config]:
    """A chain for each authority of clients: who asks for another host on its connection finds nothing there."""
    chains = []
    for ca in dict.fromkeys(upstream.client_ca for upstream in upstreams):
        of_chain = [upstream for upstream in upstreams if upstream.client_ca == ca]
        name = "public" if ca is None else f"public_{of_chain[0].app.name}"
        manager = _http_manager(name, _public_routes(name, of_chain, realm)) | _edge(of_chain, realm)
        chains.append(
            {
                "name": name,
                "filter_chain_match": {"server_names": [host for upstream in of_chain for host in upstream.hosts]},
                "transport_socket_connect_timeout": "10s",
                "transport_socket": _tls("DownstreamTlsContext", server_tls(secret_file, ca)),
                "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
            }
        )
    return chains


def _health_listener() -> Config:
    answer = {"match": {"path": "/healthz"}, "direct_response": {"status": 200}}
    routes = {
        "name": "health",
        "virtual_hosts": [{"name": "health", "domains": ["*"], "routes": [answer]}],
    }
    return {
        "name": "health",
        "address": _address("0.0.0.0", HEALTH_PORT),  # noqa: S104 - the pod's own address
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _http_manager("health", routes),
                    }
                ]
            }
        ],
    }


def _http_manager(name: str, routes: Config) -> Config:
    return {
        "@type": f"{EXTENSION}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "route_config": routes,
        "http_filters": [_router()],
    }


def _edge(upstreams: Sequence[Upstream], realm: Realm) -> Config:
    """What the outside gets beside: RFC 9112's ambiguities refused, paths as the services will read them."""
    logins = [each for up in upstreams if up.login for each in login_filters(up.login, up.hosts[0], realm)]
    hosted = any(up.hosting for up in upstreams)
    more = hosting_filters() if hosted else []
    return {
        "http_filters": [*logins, *filters(realm, REQUEST_BYTES, more), _router()],
        "use_remote_address": True,
        "strip_any_host_port": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "always_set_request_id_in_response": True,
        "server_header_transformation": "PASS_THROUGH",
        "local_reply_config": local_replies(forbidden() if hosted else []),
        "max_request_headers_kb": HEADERS_KIB,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": IDLE_TIMEOUT,
        "common_http_protocol_options": {
            "idle_timeout": IDLE_TIMEOUT,
            "headers_with_underscores_action": "REJECT_REQUEST",
            "max_headers_count": HEADERS_COUNT,
        },
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": 65_536,
            "initial_connection_window_size": 1_048_576,
        },
        "access_log": [_access_log()],
    }


def _router() -> Config:
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}


def _public_routes(name: str, upstreams: Sequence[Upstream], realm: Realm) -> Config:
    return {
        "name": name,
        "virtual_hosts": [_virtual_host(upstream, realm) for upstream in upstreams],
        "response_headers_to_add": [
            *(header(key, value) for key, value in SECURITY_HEADERS.items()),
            *(header(key, value, replace=False) for key, value in DEFAULT_HEADERS.items()),
        ],
        # They tell more than a user needs.
        "response_headers_to_remove": list(HIDDEN_HEADERS),
    }


def _virtual_host(upstream: Upstream, realm: Realm) -> Config:
    size = any_size() if upstream.uploads else {}
    host = {
        "name": upstream.app.name,
        "domains": list(upstream.hosts),
        "routes": _application(upstream, upstream.hosting, realm) if upstream.hosting else _routes(upstream, realm),
        "typed_per_filter_config": rate_limits(upstream.app.name, upstream.requests_per_second) | size,
    }
    return host | (page_headers(upstream.hosting) if upstream.hosting else {})


def _routes(upstream: Upstream, realm: Realm) -> list[Config]:
    by_password = {"name": "authorization", "string_match": {"safe_regex": {"regex": "(?i)basic .+"}}}
    opened = [_route(upstream, {"path": path}, without_token()) for path in upstream.open_paths]
    closed = []
    for path in upstream.paths:
        if upstream.tokens and realm.passwords:
            closed.append(_route(upstream, {"prefix": path, "headers": [by_password]}, without_token()))
        closed.append(_route(upstream, {"prefix": path}, with_token() if upstream.tokens else without_token()))
    return [_no_tracing(), *opened, *_pages(upstream, realm), *closed]


def _no_tracing() -> Config:
    tracing = {"name": ":method", "string_match": {"safe_regex": {"regex": "TRACE"}}}
    return {"match": {"prefix": "/", "headers": [tracing]}, "direct_response": {"status": 405}}


def _application(upstream: Upstream, hosting: Hosting, realm: Realm) -> list[Config]:
    """Routes of a hosted application: programs come with a token, all others by the login."""
    routes = [_no_tracing(), *answered_as_told(hosting)]
    if upstream.login is None:
        raise ValueError(f"{upstream.app.name}: an application has a login")
    by_browser = with_token() | by_login(upstream.login)
    routes.append(without_session(upstream.login, realm))
    # Answered before the application is reached.
    routes += [
        _route(upstream, {"path": path}, by_browser) for path in (upstream.login.callback, upstream.login.logout)
    ]
    for path in upstream.paths:
        if hosting.websocket:
            match = websocket(path, upstream.hosts[0])
            routes.append(of_user(_route(upstream, match, by_browser | any_size()), hosting, lasting=True))
        routes.append(of_user(_route(upstream, of_program(path), with_token()), hosting))
        match = {"prefix": path}
        routes.append(of_user(_route(upstream, match, by_browser | for_applications()), hosting))
    return routes


def _pages(upstream: Upstream, realm: Realm) -> list[Config]:
    """Routes of who has no token but, after a login, cookies; the service sees the token that is in them, not them."""
    if upstream.login is None:
        return []
    pages = [
        _route(upstream, of_browsers(path), with_token() | by_login(upstream.login))
        | {"request_headers_to_remove": ["cookie"]}
        for path in upstream.login.pages
    ]
    return [without_session(upstream.login, realm), *pages]


def _route(upstream: Upstream, match: Config, authentication: Config) -> Config:
    route = {
        "cluster": upstream.cluster,
        "timeout": upstream.timeout,
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": 2,
        },
    }
    return {"match": match, "route": route, "typed_per_filter_config": authentication}


def _cluster(upstream: Upstream, ca_file: str) -> Config:
    return {
        "name": upstream.cluster,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_ONLY",
        "connect_timeout": CONNECT_TIMEOUT,
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "load_assignment": {
            "cluster_name": upstream.cluster,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": _address(upstream.app.dns_names[1], HTTPS_PORT)}}]}
            ],
        },
        "circuit_breakers": {
            "thresholds": [{"max_connections": 512, "max_pending_requests": 256, "max_requests": 512, "max_retries": 8}]
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{EXTENSION}upstreams.http.v3.HttpProtocolOptions",
                # Shorter than the services' own keep-alive (uvicorn: 5 s), so that no request meets
                # a connection that is just being closed.
                "common_http_protocol_options": {"idle_timeout": "4s"},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
        "transport_socket": _tls("UpstreamTlsContext", _client_tls(upstream.app, ca_file)),
    }


def envoy_secret(certificate_file: str) -> Config:
    """Return the resource that says where certificate and key are; whenever the file is replaced, Envoy reads it."""
    source = {"filename": certificate_file}
    return {
        "resources": [
            {
                "@type": f"{EXTENSION}transport_sockets.tls.v3.Secret",
                "name": _CERTIFICATE,
                "tls_certificate": {
                    "certificate_chain": source,
                    "private_key": source,
                    "watched_directory": {"path": str(PurePosixPath(certificate_file).parent)},
                },
            }
        ]
    }


def server_tls(secret_file: str, client_ca: str | None = None) -> Config:
    """Return how clients are met: with the certificate of `envoy_secret`, asked for one of `client_ca` where given."""
    common: Config = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "cipher_suites": list(CIPHERS),
            "ecdh_curves": list(CURVES),
        },
        "tls_certificate_sds_secret_configs": [
            {
                "name": _CERTIFICATE,
                "sds_config": {"path_config_source": {"path": secret_file}, "resource_api_version": "V3"},
            }
        ],
    }
    if client_ca:
        common["validation_context"] = {"trusted_ca": {"filename": client_ca}}
    return {"require_client_certificate": client_ca is not None, "common_tls_context": common}


def _client_tls(app: App, ca_file: str) -> Config:
    return {
        "sni": app.host,
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "validation_context": {
                "trusted_ca": {"filename": ca_file},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": app.host}}],
            },
        },
    }


def _tls(context: str, config: Config) -> Config:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": f"{EXTENSION}transport_sockets.tls.v3.{context}", **config},
    }


def _access_log() -> Config:
    fields = {
        "timestamp": "%START_TIME%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "host": "%REQ(:AUTHORITY)%",
        "method": "%REQ(:METHOD)%",
        # Without the query: clients put names and, wrongly, credentials there.
        "path": "%PATH(NQ)%",
        "protocol": "%PROTOCOL%",
        "status": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "duration_ms": "%DURATION%",
        "upstream": "%UPSTREAM_CLUSTER%",
        "tls_version": "%DOWNSTREAM_TLS_VERSION%",
        "user_agent": "%REQ(USER-AGENT)%",
    }
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": f"{EXTENSION}access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": fields},
        },
    }


def _address(address: str, port: int) -> Config:
    return {"socket_address": {"address": address, "port_value": port}}
