"""Envoy's configuration: TLS towards users, verified TLS towards the services."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from refsys.platform.components.names import HTTPS_PORT, App

HEALTH_PORT = 8080
ADMIN_PORT = 9901

CONNECT_TIMEOUT = "5s"
IDLE_TIMEOUT = "300s"
MAX_CONNECTIONS = 10_000
BUFFER_BYTES = 65_536

Config = dict[str, Any]

_EXTENSION = "type.googleapis.com/envoy.extensions."
_ROUTER = f"{_EXTENSION}filters.http.router.v3.Router"
_CERTIFICATE = "certificate"
_RATE_LIMIT = "envoy.filters.http.local_ratelimit"


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

    @property
    def cluster(self) -> str:
        """Name of its Envoy cluster."""
        return self.app.name


def envoy_config(upstreams: Sequence[Upstream], secret_file: str, ca_file: str) -> Config:
    """Return Envoy's bootstrap configuration.

    `secret_file` says where its own certificate is (`envoy_secret`), `ca_file` is the issuer of the services'.
    """
    return {
        "node": {"id": "gateway", "cluster": "refsys"},
        "admin": {"address": _address("127.0.0.1", ADMIN_PORT)},
        "static_resources": {
            "listeners": [_public_listener(upstreams, secret_file), _health_listener()],
            "clusters": [_cluster(upstream, ca_file) for upstream in upstreams],
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{_EXTENSION}resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                        "max_active_downstream_connections": MAX_CONNECTIONS,
                    },
                }
            ]
        },
    }


def _public_listener(upstreams: Sequence[Upstream], secret_file: str) -> Config:
    hosts = [host for upstream in upstreams for host in upstream.hosts]
    return {
        "name": "public",
        "address": _address("0.0.0.0", HTTPS_PORT),  # noqa: S104 - the pod's own address
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "listener_filters": [
            {
                "name": "envoy.filters.listener.tls_inspector",
                "typed_config": {"@type": f"{_EXTENSION}filters.listener.tls_inspector.v3.TlsInspector"},
            }
        ],
        "filter_chains": [
            {
                "filter_chain_match": {"server_names": hosts},
                "transport_socket_connect_timeout": "10s",
                "transport_socket": _tls("DownstreamTlsContext", _server_tls(secret_file)),
                "filters": [_http_manager("public", _public_routes(upstreams), edge=True)],
            }
        ],
    }


def _health_listener() -> Config:
    answer = {"match": {"path": "/healthz"}, "direct_response": {"status": 200}}
    routes = {
        "name": "health",
        "virtual_hosts": [{"name": "health", "domains": ["*"], "routes": [answer]}],
    }
    return {
        "name": "health",
        "address": _address("0.0.0.0", HEALTH_PORT),  # noqa: S104 - the pod's own address
        "filter_chains": [{"filters": [_http_manager("health", routes, edge=False)]}],
    }


def _http_manager(name: str, routes: Config, *, edge: bool) -> Config:
    filters = [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}]
    config: Config = {
        "@type": f"{_EXTENSION}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "route_config": routes,
        "http_filters": filters,
    }
    if edge:
        config["http_filters"] = [_rate_limit_filter(), *filters]
        config |= {
            "use_remote_address": True,
            "strip_any_host_port": True,
            "normalize_path": True,
            "merge_slashes": True,
            "path_with_escaped_slashes_action": "REJECT_REQUEST",
            "always_set_request_id_in_response": True,
            "server_header_transformation": "PASS_THROUGH",
            "request_headers_timeout": "10s",
            "stream_idle_timeout": IDLE_TIMEOUT,
            "common_http_protocol_options": {
                "idle_timeout": IDLE_TIMEOUT,
                "headers_with_underscores_action": "REJECT_REQUEST",
            },
            "http2_protocol_options": {
                "max_concurrent_streams": 100,
                "initial_stream_window_size": 65_536,
                "initial_connection_window_size": 1_048_576,
            },
            "access_log": [_access_log()],
        }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def _public_routes(upstreams: Sequence[Upstream]) -> Config:
    return {
        "name": "public",
        "virtual_hosts": [_virtual_host(upstream) for upstream in upstreams],
        "response_headers_to_add": [
            _header("strict-transport-security", "max-age=31536000; includeSubDomains"),
            _header("x-content-type-options", "nosniff"),
        ],
        # The upstreams' `server` tells more than a user needs.
        "response_headers_to_remove": ["server"],
    }


def _virtual_host(upstream: Upstream) -> Config:
    route = {
        "cluster": upstream.cluster,
        "timeout": upstream.timeout,
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": 2,
        },
    }
    return {
        "name": upstream.app.name,
        "domains": list(upstream.hosts),
        "routes": [{"match": {"prefix": path}, "route": route} for path in upstream.paths],
        "typed_per_filter_config": {_RATE_LIMIT: _rate_limit(upstream)},
    }


def _rate_limit_filter() -> Config:
    return {
        "name": _RATE_LIMIT,
        "typed_config": {
            "@type": f"{_EXTENSION}filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "rate_limit",
        },
    }


def _rate_limit(upstream: Upstream) -> Config:
    always = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "@type": f"{_EXTENSION}filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": f"rate_limit_{upstream.app.name}",
        "token_bucket": {
            "max_tokens": upstream.requests_per_second * 2,
            "tokens_per_fill": upstream.requests_per_second,
            "fill_interval": "1s",
        },
        "filter_enabled": {"runtime_key": f"{upstream.app.name}.rate_limit.enabled", **always},
        "filter_enforced": {"runtime_key": f"{upstream.app.name}.rate_limit.enforced", **always},
    }


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
                "@type": f"{_EXTENSION}upstreams.http.v3.HttpProtocolOptions",
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
                "@type": f"{_EXTENSION}transport_sockets.tls.v3.Secret",
                "name": _CERTIFICATE,
                "tls_certificate": {
                    "certificate_chain": source,
                    "private_key": source,
                    "watched_directory": {"path": str(PurePosixPath(certificate_file).parent)},
                },
            }
        ]
    }


def _server_tls(secret_file: str) -> Config:
    return {
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "tls_certificate_sds_secret_configs": [
                {
                    "name": _CERTIFICATE,
                    "sds_config": {"path_config_source": {"path": secret_file}, "resource_api_version": "V3"},
                }
            ],
        }
    }


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
        "typed_config": {"@type": f"{_EXTENSION}transport_sockets.tls.v3.{context}", **config},
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
            "@type": f"{_EXTENSION}access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": fields},
        },
    }


def _header(key: str, value: str) -> Config:
    return {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _address(address: str, port: int) -> Config:
    return {"socket_address": {"address": address, "port_value": port}}
