"""Envoy before a hosted application: ends the gateway's TLS in the application's own pod."""

from refsys.platform.components.envoy_metrics import admin, admin_cluster, metrics_listener
from refsys.platform.components.gateway_config import BUFFER_BYTES, server_tls
from refsys.platform.components.gateway_filters import EXTENSION, Config
from refsys.platform.components.gateway_hosting import SESSION_SECONDS
from refsys.platform.components.names import HTTPS_PORT

LOOPBACK = "127.0.0.1"

_CONNECTIONS = "envoy.filters.network.http_connection_manager"


def front_config(name: str, server: str, server_port: int, secret_file: str) -> Config:
    """Return Envoy's bootstrap configuration; limits are the gateway's business, which alone reaches it."""
    return {
        "node": {"id": name, "cluster": "refsys"},
        "admin": admin(),
        "static_resources": {
            "listeners": [_listener(secret_file), metrics_listener()],
            "clusters": [_server(server, server_port), admin_cluster()],
        },
    }


def _listener(secret_file: str) -> Config:
    tls = {"@type": f"{EXTENSION}transport_sockets.tls.v3.DownstreamTlsContext", **server_tls(secret_file)}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "server", "timeout": "0s"}}
    manager = {
        "@type": f"{EXTENSION}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "route_config": {
            "name": "gateway",
            "virtual_hosts": [{"name": "gateway", "domains": ["*"], "routes": [route]}],
        },
        "http_filters": [_named("envoy.filters.http.router", f"{EXTENSION}filters.http.router.v3.Router")],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        # The application's own, and not the gateway's Envoy once more.
        "server_header_transformation": "PASS_THROUGH",
        "stream_idle_timeout": f"{SESSION_SECONDS}s",
    }
    return {
        "name": "gateway",
        "address": _address("0.0.0.0", HTTPS_PORT),  # noqa: S104 - the pod's own address
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [
            {
                "transport_socket_connect_timeout": "10s",
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
                "filters": [{"name": _CONNECTIONS, "typed_config": manager}],
            }
        ],
    }


def _server(host: str, port: int) -> Config:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "name": "server",
        "type": "STATIC" if host == LOOPBACK else "STRICT_DNS",
        "dns_lookup_family": "V4_ONLY",
        "connect_timeout": "2s",
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "load_assignment": {"cluster_name": "server", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _named(name: str, kind: str) -> Config:
    return {"name": name, "typed_config": {"@type": kind}}


def _address(address: str, port: int) -> Config:
    return {"socket_address": {"address": address, "port_value": port}}
