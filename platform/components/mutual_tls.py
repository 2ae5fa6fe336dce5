"""Envoy's configuration before a server that knows no users: mutual TLS, and for each client what it may ask.

The server listens on loopback alone, so that nothing reaches it but through here. A client is its certificate's
subject, `CN=<process>`, and what no rule names is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from refsys.platform.components.configuration import CA, CERTIFICATE, PRIVATE_KEY
from refsys.platform.components.envoy_metrics import admin, admin_cluster, metrics_listener
from refsys.platform.components.gateway_config import BUFFER_BYTES, CIPHERS, CURVES
from refsys.platform.components.gateway_filters import EXTENSION, Config
from refsys.platform.components.names import HEALTH_PORT, App

READY_PATH = "/ready"
LIVE_PATH = "/live"
METRICS_PATH = "/metrics"

IDLE_TIMEOUT = "300s"
HEADERS_KIB = 32
CHAIN_LENGTH = 1
"""Certificates above a client's: only who the environment's root itself certified comes in, so that an authority
under it, such as the cluster's, can make no client."""


@dataclass(frozen=True)
class Access:
    """What one client may ask; several with the same client add up."""

    client: App
    """Its certificate's common name is the app's."""
    methods: Sequence[str]
    paths: str
    """Regular expression for the whole path, without the query, as it was sent."""


@dataclass(frozen=True)
class Guarded:
    """A server behind Envoy."""

    app: App
    port: int
    """Where Envoy listens."""
    server_port: int
    """Where the server listens, on loopback."""
    ready: str
    """Path that the server answers with 200 when it can serve."""
    live: str
    access: Sequence[Access]
    timeout: str = "60s"
    metrics: str | None = None
    """Path at which the server tells its metrics, if it has some; the health's port hands them on."""


def envoy_config(guarded: Guarded, tls_directory: str) -> Config:
    """Return Envoy's bootstrap configuration."""
    files = {name: f"{tls_directory}/{name}" for name in (CERTIFICATE, PRIVATE_KEY, CA)}
    return {
        "node": {"id": guarded.app.name, "cluster": "refsys"},
        "admin": admin(),
        "static_resources": {
            "listeners": [
                _listener("clients", guarded.port, _clients(guarded), _server_tls(files)),
                _listener("health", HEALTH_PORT, _health(guarded)),
                metrics_listener(),
            ],
            "clusters": [_cluster(guarded.server_port), admin_cluster()],
        },
    }


def _listener(name: str, port: int, manager: Config, tls: Config | None = None) -> Config:
    chain: Config = {"filters": [_named("envoy.filters.network.http_connection_manager", manager)]}
    if tls:
        chain |= {"transport_socket_connect_timeout": "10s", "transport_socket": tls}
    return {
        "name": name,
        "address": _address("0.0.0.0", port),  # noqa: S104 - the pod's own address
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [chain],
    }


def _clients(guarded: Guarded) -> Config:
    rules = {"action": "ALLOW", "policies": _policies(guarded.access)}
    rbac = _named("envoy.filters.http.rbac", {"@type": f"{EXTENSION}filters.http.rbac.v3.RBAC", "rules": rules})
    route = {"match": {"prefix": "/"}, "route": {"cluster": "server", "timeout": guarded.timeout}}
    return _manager("clients", [rbac], [route]) | {"access_log": [_refusals()]}


def _health(guarded: Guarded) -> Config:
    paths = {READY_PATH: guarded.ready, LIVE_PATH: guarded.live}
    if guarded.metrics:
        paths[METRICS_PATH] = guarded.metrics
    return _manager(
        "health",
        [],
        [
            {"match": {"path": asked}, "route": {"cluster": "server", "timeout": "10s", "prefix_rewrite": path}}
            for asked, path in paths.items()
        ],
    )


def _policies(access: Sequence[Access]) -> Config:
    def client(each: Access) -> str:
        return each.client.name

    return {
        name: {
            "permissions": [_permission(each) for each in of_client],
            "principals": [{"authenticated": {"principal_name": {"exact": f"CN={name}"}}}],
        }
        for name, of_client in groupby(sorted(access, key=client), key=client)
    }


def _permission(access: Access) -> Config:
    methods = [{"header": {"name": ":method", "string_match": {"exact": method}}} for method in access.methods]
    path = {"url_path": {"path": {"safe_regex": {"regex": access.paths}}}}
    return {"and_rules": {"rules": [{"or_rules": {"rules": methods}}, path]}}


def _manager(name: str, filters: Sequence[Config], routes: Sequence[Config]) -> Config:
    router = _named("envoy.filters.http.router", {"@type": f"{EXTENSION}filters.http.router.v3.Router"})
    return {
        "@type": f"{EXTENSION}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "codec_type": "AUTO",
        "route_config": {
            "name": name,
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": list(routes)}],
        },
        "http_filters": [*filters, router],
        "max_request_headers_kb": HEADERS_KIB,
        "request_headers_timeout": "10s",
        "stream_idle_timeout": IDLE_TIMEOUT,
        "common_http_protocol_options": {"idle_timeout": IDLE_TIMEOUT},
    }


def _cluster(port: int) -> Config:
    endpoint = {"endpoint": {"address": _address("127.0.0.1", port)}}
    return {
        "name": "server",
        "type": "STATIC",
        "connect_timeout": "2s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "load_assignment": {"cluster_name": "server", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _server_tls(files: Mapping[str, str]) -> Config:
    chain, key, authority = ({"filename": files[name]} for name in (CERTIFICATE, PRIVATE_KEY, CA))
    context: Config = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_2",
            "cipher_suites": list(CIPHERS),
            "ecdh_curves": list(CURVES),
        },
        "tls_certificates": [{"certificate_chain": chain, "private_key": key}],
        "validation_context": {"trusted_ca": authority, "max_verify_depth": CHAIN_LENGTH},
    }
    return _named(
        "envoy.transport_sockets.tls",
        {
            "@type": f"{EXTENSION}transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": context,
        },
    )


def _refusals() -> Config:
    """What was refused or failed, and whose it was; the rest would only fill the log store with its own queries."""
    failed = {"comparison": {"op": "GE", "value": {"default_value": 400, "runtime_key": "refusals.status"}}}
    fields = {
        "timestamp": "%START_TIME%",
        "client": "%DOWNSTREAM_PEER_SUBJECT%",
        "address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "method": "%REQ(:METHOD)%",
        "path": "%PATH(NQ)%",
        "status": "%RESPONSE_CODE%",
        "reason": "%RESPONSE_CODE_DETAILS%",
    }
    log = {
        "@type": f"{EXTENSION}access_loggers.stream.v3.StdoutAccessLog",
        "log_format": {"json_format": fields},
    }
    return _named("envoy.access_loggers.stdout", log) | {"filter": {"status_code_filter": failed}}


def _named(name: str, config: Config) -> Config:
    return {"name": name, "typed_config": config}


def _address(address: str, port: int) -> Config:
    return {"socket_address": {"address": address, "port_value": port}}
