"""Where Envoy tells its own metrics: a listener that hands one path on to its administration, which stays inside."""

from refsys.platform.components.gateway_filters import EXTENSION, Config
from refsys.platform.components.names import ENVOY_METRICS_PORT

ADMIN_PORT = 9901
PATH = "/metrics"
_CLUSTER = "admin"
_STATISTICS = "/stats/prometheus?usedonly"


def admin() -> Config:
    """Return the administration: only what runs in the pod reaches it."""
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": ADMIN_PORT}}}


def metrics_listener() -> Config:
    """Return the listener; but for the metrics it answers nothing."""
    route = {"match": {"path": PATH}, "route": {"cluster": _CLUSTER, "prefix_rewrite": _STATISTICS, "timeout": "10s"}}
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{EXTENSION}filters.http.router.v3.Router"},
    }
    manager = {
        "@type": f"{EXTENSION}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "metrics",
        "route_config": {
            "name": "metrics",
            "virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": [route]}],
        },
        "http_filters": [router],
    }
    # The pod's own address.
    address = {"socket_address": {"address": "0.0.0.0", "port_value": ENVOY_METRICS_PORT}}  # noqa: S104
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": "metrics", "address": address, "filter_chains": [chain]}


def admin_cluster() -> Config:
    """Return the cluster that is the administration."""
    return {
        "name": _CLUSTER,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": _CLUSTER, "endpoints": [{"lb_endpoints": [{"endpoint": admin()}]}]},
    }
