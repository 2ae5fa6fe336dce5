"""What Prometheus asks for metrics: jobs, how it finds their targets, and which metrics it keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refsys.platform.components.names import (
    API_SERVER_PORT,
    CALICO_CONTROLLERS,
    CALICO_CONTROLLERS_METRICS_PORT,
    CALICO_METRICS_PORT,
    COREDNS,
    COREDNS_METRICS_PORT,
    ETCD_METRICS_PORT,
    KUBELET_PORT,
    LOG_STORE,
    OPENBAO,
    OPENBAO_PORT,
    PROCESSING,
    SYSTEM,
    THANOS_COMPACTOR,
    THANOS_QUERY,
    THANOS_STORE,
    App,
)
from refsys.platform.components.secrets import API_TOKEN_DIRECTORY

Config = dict[str, Any]

CLUSTER_SECONDS = 60
"""Answers of the cluster's own programs are long, and what is kept of them changes slowly."""
STATE_JOB = "kube-state-metrics"
"""Its labels say which pod or node a figure is of, and so take precedence."""
DISCOVERY_DIRECTORY = "/run/refsys/discovery"
"""Where `discovery.py` writes what there is in the cluster."""
PODS = {"files": [f"{DISCOVERY_DIRECTORY}/pods.json"]}
NODES = {"files": [f"{DISCOVERY_DIRECTORY}/nodes.json"]}
JOBS = {
    LOG_STORE.name: "opensearch",
    **{app.name: "thanos" for app in (THANOS_COMPACTOR, THANOS_QUERY, THANOS_STORE)},
}
"""Jobs that are not called like their apps."""
ENVIRONMENT_CA = "/etc/refsys/tls/ca.crt"

_NAMESPACE = "__meta_kubernetes_namespace"
_POD = "__meta_kubernetes_pod_"
_NODE = "__meta_kubernetes_node_"
_APP = f"{_POD}label_app_kubernetes_io_name"
_SYSTEM_APP = f"{_POD}label_k8s_app"
_PORT_NAME = f"{_POD}container_port_name"
_CONTROL_PLANE = f"{_NODE}labelpresent_node_role_kubernetes_io_control_plane"

_PROCESS = ("process_(cpu_seconds_total|max_fds|open_fds|resident_memory_bytes|start_time_seconds)",)
# Nobody looks at these, and every process has dozens of them.
_DROPPED = (
    "python_gc_.+",
    "refsys_.+_created",
    "go_gc_.+",
    "go_memstats_(buck_hash|frees|gc_sys|last_gc|lookups|mallocs|mcache|mspan|next_gc|other|stack).*",
    "promhttp_.+",
)
_ENVOY = (
    "envoy_cluster_membership_(healthy|total)",
    "envoy_cluster_upstream_cx_(active|connect_fail)",
    "envoy_cluster_upstream_rq_(active|pending_overflow|retry|timeout|total|xx)",
    "envoy_cluster_upstream_rq_time_(bucket|count|sum)",
    "envoy_http_downstream_cx_(active|total|rx_bytes_total|tx_bytes_total)",
    "envoy_http_downstream_rq_(active|total|xx)",
    "envoy_http_downstream_rq_time_(bucket|count|sum)",
    "envoy_http_(jwt_authn|rbac)_(allowed|denied)",
    "envoy_.*http_local_rate_limit_(ok|rate_limited)",
    "envoy_listener_ssl_(certificate_expiration_unix_time_seconds|connection_error|fail_verify_.+|handshake)",
    "envoy_overload_.+",
    "envoy_server_(days_until_first_cert_expiring|live|memory_allocated|uptime)",
)
_KEYCLOAK = (
    "agroal_(active|available|awaiting|max_used)_count",
    "http_server_requests_seconds_(count|max|sum)",
    "jvm_gc_pause_seconds_(count|sum)",
    "jvm_memory_(max|used)_bytes",
    "jvm_threads_live_threads",
    "keycloak_.+",
    "process_.+",
)
_KAFKA = (
    "jvm_gc_collection_seconds_(count|sum)",
    "jvm_memory_(max|used)_bytes",
    "jvm_threads_current",
    "kafka_.+",
    *_PROCESS,
)
_POSTGRESQL = (
    "pg_(database_size_bytes|exporter_last_scrape_error|locks_count|up)",
    "pg_settings_(max_connections|shared_buffers_bytes)",
    "pg_stat_(activity|archiver|bgwriter)_.+",
    "pg_stat_database_(blks|deadlocks|numbackends|sessions|temp_bytes|tup|xact).*",
    *_PROCESS,
)
_THANOS = (
    "thanos_blocks_meta_sync_failures_total",
    "thanos_bucket_store_(block_load_failures_total|blocks_loaded)",
    "thanos_compact_(downsample_failures_total|downsample_total|group_compactions_failures_total)",
    "thanos_compact_(blocks_cleaned_total|group_compactions_total|halted|iterations_total|todo_.+)",
    "thanos_objstore_bucket_(last_successful_upload_time|operation_failures_total|operations_total)",
    "thanos_shipper_.+",
    "thanos_sidecar_prometheus_up",
    "thanos_store_nodes_grpc_connections",
    "http_request_duration_seconds_(bucket|count|sum)",
    *_PROCESS,
)
_OPENBAO = (
    "vault_(audit|autopilot|barrier|expire|raft|raft_storage|token)_.+",
    "vault_core_(active|check_token|handle_.+|in_flight_requests|unsealed).*",
    *_PROCESS,
    "go_goroutines",
)
_APISERVER = (
    "aggregator_unavailable_apiservice",
    "apiserver_audit_event_total",
    "apiserver_audit_requests_rejected_total",
    "apiserver_current_inflight_requests",
    "apiserver_request_duration_seconds_(count|sum)",
    "apiserver_request_terminations_total",
    "apiserver_request_total",
    "apiserver_resource_objects",
    "apiserver_validating_admission_policy_check_total",
    "authentication_attempts",
    "kubernetes_build_info",
    *_PROCESS,
)
_KUBELET = (
    "kubelet_certificate_manager_(client|server)_ttl_seconds",
    "kubelet_evictions",
    "kubelet_node_name",
    "kubelet_pleg_relist_duration_seconds_(count|sum)",
    "kubelet_pod_start_duration_seconds_(count|sum)",
    "kubelet_running_(containers|pods)",
    "kubelet_runtime_operations_(errors_)?total",
    "kubelet_server_expiration_renew_errors",
    "kubelet_started_(containers|pods)_errors_total",
    "kubelet_volume_stats_.+",
    *_PROCESS,
)
_CADVISOR = (
    "container_cpu_usage_seconds_total",
    "container_fs_(reads|writes)_bytes_total",
    "container_memory_(rss|working_set_bytes)",
    "container_network_(receive|transmit)_(bytes|errors|packets_dropped)_total",
    "container_oom_events_total",
    "container_spec_memory_limit_bytes",
    "container_start_time_seconds",
    "machine_(cpu_cores|memory_bytes)",
)
_ETCD = (
    "etcd_disk_(backend_commit|wal_fsync)_duration_seconds_(bucket|count|sum)",
    "etcd_mvcc_db_total_size_(in_bytes|in_use_in_bytes)",
    "etcd_server_(has_leader|is_leader|leader_changes_seen_total|quota_backend_bytes)",
    "etcd_server_proposals_(applied|committed|failed|pending).*",
    "etcd_server_slow_(apply|read_indexes)_total",
    *_PROCESS,
)
_COREDNS = (
    "coredns_build_info",
    "coredns_cache_(entries|hits_total|misses_total|requests_total)",
    "coredns_dns_request_duration_seconds_(bucket|count|sum)",
    "coredns_dns_(requests|responses)_total",
    "coredns_(forward|proxy)_.+_total",
    "coredns_panics_total",
    *_PROCESS,
)
_CALICO = (
    "felix_active_local_(endpoints|policies)",
    "felix_cluster_num_.+",
    "felix_int_dataplane_(failures|apply_time_seconds_count|apply_time_seconds_sum)",
    "felix_ip(set|tables)_.*errors",
    "felix_log_errors",
    "felix_resyncs_started",
    "ipam_.+",
    *_PROCESS,
)


@dataclass(frozen=True)
class Kept:
    """Names of metrics, as regular expressions, that Prometheus keeps; the others are dropped as they come."""

    names: Sequence[str]

    def rule(self) -> Config:
        """Return the rule for `metric_relabel_configs`."""
        return {"source_labels": ["__name__"], "regex": "|".join(self.names), "action": "keep"}


def scrape_configs() -> list[Config]:
    """Return all jobs, the pods' own first."""
    return [
        *_pods(),
        _openbao(),
        _system("coredns", COREDNS, COREDNS_METRICS_PORT, _COREDNS),
        _system("calico", CALICO_CONTROLLERS, CALICO_CONTROLLERS_METRICS_PORT, _CALICO),
        _system("calico-node", App(SYSTEM, "calico-node"), CALICO_METRICS_PORT, _CALICO, job="calico"),
        _node("kubelet", KUBELET_PORT, _KUBELET, secure=True),
        _node("cadvisor", KUBELET_PORT, _CADVISOR, secure=True, path="/metrics/cadvisor", more=_OF_CONTAINERS),
        _node("apiserver", API_SERVER_PORT, _APISERVER, secure=True, control_plane=True),
        _node("etcd", ETCD_METRICS_PORT, _ETCD, control_plane=True),
    ]


def _pods() -> list[Config]:
    """Return the jobs of pods with a port for metrics; some have a configuration of their own for what is kept."""
    apart = {
        "envoy": Kept(_ENVOY),
        "kafka": Kept(_KAFKA),
        "keycloak": Kept(_KEYCLOAK),
        "postgresql": Kept(_POSTGRESQL),
        "thanos": Kept(_THANOS),
    }
    rest = {"source_labels": ["__name__"], "regex": "|".join(_DROPPED), "action": "drop"}
    named = [_pod_job(job, [_only(job)], kept.rule()) for job, kept in apart.items()]
    state = _pod_job(STATE_JOB, [_only(STATE_JOB)], rest) | {"honor_labels": True}
    others = {"source_labels": ["job"], "regex": "|".join((*apart, STATE_JOB)), "action": "drop"}
    return [*named, state, _pod_job("pods", [others], rest)]


def _only(job: str) -> Config:
    return {"source_labels": ["job"], "regex": job, "action": "keep"}


def _pod_job(name: str, which: Sequence[Config], kept: Config) -> Config:
    jobs = [
        {"source_labels": [_APP], "regex": app, "target_label": "job", "replacement": job} for app, job in JOBS.items()
    ]
    return {
        "job_name": name,
        "file_sd_configs": [PODS],
        "relabel_configs": [
            {"source_labels": [_PORT_NAME], "regex": "metrics(-.+)?", "action": "keep"},
            {"source_labels": [_APP], "regex": ".+", "action": "keep"},
            {"source_labels": [_APP], "target_label": "job"},
            {"source_labels": [_NAMESPACE], "regex": PROCESSING, "target_label": "job", "replacement": "chain"},
            *jobs,
            {"source_labels": [_PORT_NAME], "regex": "metrics-(.+)", "target_label": "job", "replacement": "$1"},
            *which,
            *_pod_labels(_APP),
        ],
        "metric_relabel_configs": [kept],
    }


def _openbao() -> Config:
    """Its metrics are a part of its API, in another format unless asked."""
    return {
        "job_name": "openbao",
        "file_sd_configs": [PODS],
        "scheme": "https",
        "tls_config": {"ca_file": ENVIRONMENT_CA, "server_name": OPENBAO.host},
        "metrics_path": "/v1/sys/metrics",
        "params": {"format": ["prometheus"]},
        "relabel_configs": [
            {"source_labels": [_APP], "regex": OPENBAO.name, "action": "keep"},
            _address(f"{_POD}ip", OPENBAO_PORT),
            *_pod_labels(_APP),
        ],
        "metric_relabel_configs": [Kept(_OPENBAO).rule()],
    }


def _system(name: str, app: App, port: int, kept: Sequence[str], *, job: str | None = None) -> Config:
    """Return the job of pods that come with the nodes."""
    return {
        "job_name": name,
        "scrape_interval": f"{CLUSTER_SECONDS}s",
        "file_sd_configs": [PODS],
        "relabel_configs": [
            {"source_labels": [_NAMESPACE], "regex": app.namespace, "action": "keep"},
            {"source_labels": [_SYSTEM_APP], "regex": app.name, "action": "keep"},
            _address(f"{_POD}ip", port),
            *([{"target_label": "job", "replacement": job}] if job else []),
            *_pod_labels(_SYSTEM_APP),
        ],
        "metric_relabel_configs": [Kept(kept).rule()],
    }


def _node(
    name: str,
    port: int,
    kept: Sequence[str],
    *,
    secure: bool = False,
    control_plane: bool = False,
    path: str = "/metrics",
    more: Sequence[Config] = (),
) -> Config:
    """Return the job of what runs on nodes themselves; `secure`: by TLS, with the token of the API server."""
    token = {
        "scheme": "https",
        "authorization": {"credentials_file": f"{API_TOKEN_DIRECTORY}/token"},
        "tls_config": {"ca_file": f"{API_TOKEN_DIRECTORY}/ca.crt"},
    }
    only = [{"source_labels": [_CONTROL_PLANE], "regex": "true", "action": "keep"}] if control_plane else []
    return {
        "job_name": name,
        "scrape_interval": f"{CLUSTER_SECONDS}s",
        "file_sd_configs": [NODES],
        "metrics_path": path,
        **(token if secure else {}),
        "relabel_configs": [
            *only,
            _address(f"{_NODE}address_InternalIP", port),
            {"source_labels": [f"{_NODE}name"], "target_label": "node"},
            {"source_labels": [f"{_NODE}name"], "target_label": "instance"},
        ],
        "metric_relabel_configs": [Kept(kept).rule(), *more],
    }


# Of the tree of control groups only containers themselves count, and networks, which are a pod's; and the node.
_OF_CONTAINERS = (
    {"source_labels": ["__name__", "pod", "id"], "regex": "container_[^;]+;;/.+", "action": "drop"},
    {
        "source_labels": ["__name__", "container", "id"],
        "regex": "container_(cpu|fs|memory|oom|spec|start)[^;]*;;/.+",
        "action": "drop",
    },
    {"source_labels": ["interface"], "regex": "cali.+|vxlan.+", "action": "drop"},
    {"regex": "image|name", "action": "labeldrop"},
)


def _address(source: str, port: int) -> Config:
    return {"source_labels": [source], "target_label": "__address__", "replacement": f"$1:{port}"}


def _pod_labels(app: str) -> list[Config]:
    labels = {
        "namespace": _NAMESPACE,
        "pod": f"{_POD}name",
        "app": app,
        "node": f"{_POD}node_name",
        "instance": f"{_POD}name",
    }
    return [{"source_labels": [source], "target_label": label} for label, source in labels.items()]
