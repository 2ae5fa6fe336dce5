"""Series that the dashboards ask for, as many as a local environment has: two nodes, seventy pods."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from refsys.services.common.messages import TOPICS
from refsys.services.logs.templates import KEPT

BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "120.0", "+Inf")
NODES = ("cp1", "w1")
NAMESPACES = {"infra": 8, "kube-system": 18, "monitoring": 9, "processing": 30, "security": 5}
MISSIONS = ("S1", "S2", "S3")
STATIONS = tuple(f"station-{number}" for number in range(6))
STATUS = ("200", "206", "302", "400", "401", "403", "404", "429", "500", "503")
ROUTES = tuple(f"/odata/v1/route{number}" for number in range(8))
QUEUES = (*TOPICS, *KEPT)
GROUPS = ("catalogue", "dlq", "kpi", "lifecycle", "log-indexer", "publisher")
DATABASES = ("refsys", "keycloak", "postgres")
SLOS = ("prip-availability", "ingestion-delay", "timeliness")

Labels = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Metric:
    """Names, and the values of each label: there is a series for each combination of them."""

    names: str
    """One or several, `{a,b}` being either."""
    labels: Labels
    counter: bool = True

    def series(self) -> Iterator[str]:
        """Yield all series, each as a name with labels."""
        for name, *values in product(_either(self.names), *self.labels.values()):
            shown = ",".join(f'{label}="{value}"' for label, value in zip(self.labels, values, strict=True))
            yield f"{name}{{{shown}}}" if shown else name


def _either(names: str) -> list[str]:
    before, brace, rest = names.partition("{")
    if not brace:
        return [names]
    inner, _, after = rest.partition("}")
    return [f"{before}{each}{tail}" for each in inner.split(",") for tail in _either(after)]


def _histogram(name: str, labels: Labels) -> list[Metric]:
    return [Metric(f"{name}_bucket", {**labels, "le": BUCKETS}), Metric(f"{name}_{{count,sum}}", labels)]


def _pods(**labels: Sequence[str]) -> list[Labels]:
    """Labels of series of each pod."""
    return [
        {"namespace": (namespace,), "pod": tuple(f"{namespace}-{number}" for number in range(pods)), **labels}
        for namespace, pods in NAMESPACES.items()
    ]


_CADVISOR: Labels = {"job": ("cadvisor",), "instance": ("w1",), "node": ("w1",), "container": ("", "main", "envoy")}
_NODE: Labels = {"job": ("node",), "node": NODES, "instance": NODES}
_PG: Labels = {"job": ("postgresql",), "namespace": ("infra",), "pod": ("postgresql-0",)}
_CHAIN: Labels = {"job": ("chain",), "namespace": ("processing",), "instance": ("processing-0",)}
_KAFKA: Labels = {"job": ("kafka",), "namespace": ("infra",), "pod": ("kafka-0",)}
_LAG: Labels = {"job": ("kafka-lag",), "topic": QUEUES, "partition": tuple("012345")}
_BOX: Labels = {"job": ("blackbox",), "probe": ("http", "tcp", "dns")}
_JOBS = ("chain", "envoy", "kafka", "node", "postgresql", "kubelet", "cadvisor", "apiserver", "etcd", "coredns")
_KUBE: Labels = {"job": ("kube-state-metrics",)}

METRICS = (
    # the cluster
    *(Metric("container_cpu_usage_seconds_total", {**_CADVISOR, **each}) for each in _pods()),
    *(Metric("container_memory_working_set_bytes", {**_CADVISOR, **each}, counter=False) for each in _pods()),
    *(
        Metric("kube_pod_status_phase", {**_KUBE, **each, "phase": ("Running", "Pending", "Failed", "Unknown")}, False)
        for each in _pods()
    ),
    *(Metric("kube_pod_container_status_restarts_total", {**_KUBE, **each}) for each in _pods(container=("a", "b"))),
    *(
        Metric("kube_pod_container_resource_requests", {**_KUBE, **each, "resource": ("cpu", "memory")}, False)
        for each in _pods(container=("a", "b"))
    ),
    Metric("kube_pod_container_status_waiting_reason", {**_KUBE, "reason": ("CrashLoopBackOff",)}, counter=False),
    Metric("kube_job_failed", {**_KUBE, "job_name": STATIONS, "condition": ("true", "false")}, counter=False),
    Metric("kube_node_info", {**_KUBE, "node": NODES}, counter=False),
    Metric(
        "kube_node_status_condition",
        {**_KUBE, "node": NODES, "condition": ("Ready", "MemoryPressure"), "status": ("true", "false", "unknown")},
        counter=False,
    ),
    Metric(
        "kube_persistentvolumeclaim_resource_requests_storage_bytes",
        {**_KUBE, "namespace": tuple(NAMESPACES), "persistentvolumeclaim": ("a", "b")},
        counter=False,
    ),
    Metric("up", {"job": _JOBS, "instance": tuple(f"i{number}" for number in range(7))}, counter=False),
    Metric("ALERTS", {"alertname": STATIONS, "alertstate": ("firing",), "severity": ("high", "low")}, counter=False),
    Metric(
        "apiserver_{request_total,request_duration_seconds_sum,request_duration_seconds_count}",
        {
            "job": ("apiserver",),
            "verb": ("GET", "LIST", "WATCH", "PUT", "PATCH", "POST", "DELETE"),
            "code": ("200", "201", "404", "409"),
            "resource": tuple(f"resource{number}" for number in range(25)),
        },
    ),
    *_histogram("etcd_disk_wal_fsync_duration_seconds", {"job": ("etcd",), "node": ("cp1",)}),
    Metric("etcd_mvcc_db_total_size_in_bytes", {"job": ("etcd",), "node": ("cp1",)}, counter=False),
    Metric("coredns_dns_responses_total", {"job": ("coredns",), "rcode": ("NOERROR", "NXDOMAIN"), "zone": ("a", "b")}),
    # nodes
    Metric("node_{load5,timex_offset_seconds,reboot_required}", _NODE, counter=False),
    Metric("node_disk_{read,written}_bytes_total", {**_NODE, "device": ("vda", "vdb", "dm-0")}),
    Metric("node_pressure_io_waiting_seconds_total", _NODE),
    Metric(
        "node_systemd_unit_state",
        {
            **_NODE,
            "name": tuple(f"unit{number}.service" for number in range(60)),
            "state": ("active", "activating", "deactivating", "failed", "inactive"),
        },
        counter=False,
    ),
    Metric("apt_upgrades_pending", {**_NODE, "origin": ("Debian", "Debian-Security")}, counter=False),
    Metric("clamav_scan_infected", _NODE, counter=False),
    Metric("clamav_host_signatures_timestamp_seconds", _NODE, counter=False),
    Metric("clamav_signatures_timestamp_seconds", {"job": ("clamav",)}, counter=False),
    Metric("suricata_up", _NODE, counter=False),
    Metric("suricata_{detect_alert,capture_kernel_drops,capture_kernel_packets}_total", _NODE),
    # platform
    Metric("kafka_controller_kafkacontroller_offlinepartitionscount", _KAFKA, counter=False),
    Metric("kafka_server_replicamanager_underreplicatedpartitions", _KAFKA, counter=False),
    Metric("kafka_server_brokertopicmetrics_{bytesinpersec,bytesoutpersec}_total", {**_KAFKA, "topic": QUEUES}),
    Metric("jvm_memory_used_bytes", {**_KAFKA, "area": ("heap", "nonheap")}, counter=False),
    Metric("kafka_topic_partition_current_offset", _LAG),
    Metric("kafka_consumergroup_lag", {**_LAG, "consumergroup": GROUPS[:2]}, counter=False),
    Metric("kafka_consumergroup_members", {"job": ("kafka-lag",), "consumergroup": GROUPS}, counter=False),
    Metric("pg_up", _PG, counter=False),
    Metric("pg_settings_max_connections", _PG, counter=False),
    Metric(
        "pg_stat_activity_{count,max_tx_duration}",
        {**_PG, "datname": DATABASES, "state": ("active", "idle", "idle in transaction"), "usename": GROUPS},
        counter=False,
    ),
    Metric("pg_database_size_bytes", {**_PG, "datname": DATABASES}, counter=False),
    Metric("pg_locks_count", {**_PG, "datname": DATABASES, "mode": GROUPS}, counter=False),
    Metric(
        "pg_stat_database_{xact_commit,xact_rollback,tup_fetched,tup_inserted,tup_updated,blks_hit,blks_read,deadlocks}",
        {**_PG, "datname": DATABASES},
    ),
    Metric("s3_{written,read}_bytes_total", {"job": ("object-store",), "action": ("get", "put"), "status": STATUS}),
    Metric("vault_core_unsealed", {"job": ("openbao",)}, counter=False),
    Metric("envoy_http_rbac_denied", {"job": ("envoy",), "app": GROUPS}),
    # the chain
    Metric("refsys_station_up", {**_CHAIN, "station": STATIONS}, counter=False),
    Metric("refsys_station_files_total", {**_CHAIN, "station": STATIONS, "outcome": ("queued", "refused", "skipped")}),
    *_histogram(
        "refsys_product_step_seconds",
        {**_CHAIN, "mission": MISSIONS, "step": ("ingestion", "catalogue", "publication", "total")},
    ),
    *_histogram("refsys_message_seconds", {**_CHAIN, "topic": QUEUES}),
    *(
        metric
        for name in ("metadata_search", "prip", "stac")
        for metric in _histogram(
            f"refsys_{name}_request_seconds",
            {**_CHAIN, "method": ("GET",), "route": ROUTES, "status": ("200", "401", "404")},
        )
    ),
    Metric("refsys_uploads_total", {**_CHAIN, "state": ("DONE", "REFUSED")}),
    Metric("refsys_recalls_total", {**_CHAIN, "outcome": ("done", "failed")}),
    Metric("refsys_catalogued_products_total", {**_CHAIN, "mission": MISSIONS, "state": ("VALID", "INVALID")}),
    Metric("refsys_evictions_waiting", _CHAIN, counter=False),
    Metric("refsys_evicted_products_total", {**_CHAIN, "mission": MISSIONS, "cause": ("age", "space")}),
    Metric("refsys_eviction_failures_total", {**_CHAIN, "mission": MISSIONS}),
    Metric("refsys_dead_letters_total", {**_CHAIN, "topic": TOPICS, "action": ("RESTART", "NO_ACTION")}),
    Metric("refsys_dead_letter_restarts_total", {**_CHAIN, "topic": TOPICS}),
    Metric("refsys_compression_bytes_total", {**_CHAIN, "direction": ("COMPRESS", "UNCOMPRESS")}),
    Metric("refsys_prip_{delivered_bytes,quota_refused}_total", _CHAIN),
    Metric("refsys_prip_open_downloads", _CHAIN, counter=False),
    Metric("refsys_notifications_posted_total", {**_CHAIN, "outcome": ("taken", "refused")}),
    Metric("refsys_notifications_{queued,dropped}_total", _CHAIN),
    Metric("refsys_routing_transfers_total", {**_CHAIN, "rule": GROUPS, "outcome": ("done", "failed")}),
    Metric("refsys_alerts_total", {**_CHAIN, "level": ("low", "medium", "high", "critical")}),
    Metric("refsys_detection_looked_timestamp_seconds", _CHAIN, counter=False),
    Metric("refsys_products_late_total", {**_CHAIN, "mission": MISSIONS, "timeliness": ("NRT", "NTC", "STC")}),
    Metric("probe_{duration_seconds,ssl_earliest_cert_expiry}", {**_BOX, "station": STATIONS}, counter=False),
    Metric("probe_{duration_seconds,ssl_earliest_cert_expiry}", {**_BOX, "target": STATIONS}, counter=False),
    # what rules record
    Metric("node:{cpu_busy:ratio_rate5m,memory_available:ratio}", {"node": NODES}, counter=False),
    Metric("node:network_{received,sent}:bytes_rate5m", {"node": NODES}, counter=False),
    Metric("node:disk_available:ratio", {"node": NODES, "device": ("vda", "vdb")}, counter=False),
    Metric("namespace:container_{cpu:rate5m,memory:bytes}", {"namespace": tuple(NAMESPACES)}, counter=False),
    Metric("volume:available:ratio", {"node": ("w1",), "persistentvolumeclaim": GROUPS}, counter=False),
    Metric(
        "consumergroup_topic:kafka_consumergroup_lag:sum", {"consumergroup": GROUPS, "topic": QUEUES}, counter=False
    ),
    Metric("gateway:requests:rate5m", {"envoy_response_code_class": tuple("2345")}, counter=False),
    Metric("station:files:rate5m", {"station": STATIONS, "outcome": ("queued", "refused")}, counter=False),
    Metric("station:ingested:bytes_rate5m", {"station": STATIONS}, counter=False),
    Metric("mission:catalogued:rate5m", {"mission": MISSIONS, "state": ("VALID", "INVALID")}, counter=False),
    Metric("topic:messages:rate5m", {"topic": QUEUES, "outcome": ("done", "failed")}, counter=False),
    Metric("topic:log_records:rate5m", {"topic": tuple(KEPT)}, counter=False),
    Metric("code:apiserver_requests:rate5m", {"code": ("200", "201", "404", "409")}, counter=False),
    Metric("verb:apiserver_request_seconds:mean5m", {"verb": ("GET", "LIST", "PUT", "PATCH", "POST")}, counter=False),
    Metric("topic:kafka_records:rate5m", {"topic": QUEUES}, counter=False),
    Metric("topic_le:refsys_message_seconds:rate5m", {"topic": QUEUES, "le": BUCKETS}, counter=False),
    Metric(
        "route_le:refsys_{metadata_search,prip,stac}_request_seconds:rate5m",
        {"route": ROUTES, "le": BUCKETS},
        counter=False,
    ),
    Metric("prip:requests:rate5m", {"status": STATUS}, counter=False),
    Metric("slo:{errors:rate5m,events:rate5m,objective:ratio,burn:1h,burn:6h}", {"slo": SLOS}, counter=False),
)


def names() -> set[str]:
    """The names of all metrics."""
    return {re.split(r"[{]", series)[0] for metric in METRICS for series in metric.series()}
