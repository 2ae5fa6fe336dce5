"""Metrics of a running environment: everything is asked and answers, and a restart loses nothing."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client
from kubernetes.stream import stream

from refsys.monitoring.components.prometheus_config import SERVER_PORT
from refsys.platform.components.flows import PROCESSES
from refsys.platform.components.names import PROMETHEUS

pytestmark = pytest.mark.timeout(600)

POD = f"{PROMETHEUS.name}-0"
SECONDS = 180
NODES = 2
TARGETS = {
    "chain": len(PROCESSES),
    "envoy": 4,
    "keycloak": 1,
    "openbao": 1,
    "alertmanager": 1,
    "prometheus": 1,
    "coredns": 2,
    "calico": NODES + 1,
    "kubelet": NODES,
    "cadvisor": NODES,
    "apiserver": 1,
    "etcd": 1,
    "node": NODES,
    "kube-state-metrics": 1,
    "postgresql": 1,
    "kafka": 1,
    "kafka-lag": 1,
    "object-store": 1,
    "clamav": 1,
}
NAMES = (
    "refsys_secrets_total",
    "envoy_server_live",
    "vault_core_unsealed",
    "etcd_server_has_leader",
    "container_memory_working_set_bytes",
    "kubelet_running_pods",
    "apiserver_request_total",
    "coredns_dns_requests_total",
    "felix_active_local_endpoints",
    "http_server_requests_seconds_count",
    "node_filesystem_avail_bytes",
    "apt_package_cache_timestamp_seconds",
    "suricata_up == 1",
    "kube_cronjob_status_active",
    "kube_node_status_condition",
    "pg_stat_activity_count",
    "kafka_controller_kafkacontroller_offlinepartitionscount",
    "kafka_consumergroup_lag",
    "s3_requests_total",
    "clamav_up == 1",
    "refsys_backup_timestamp_seconds",
    'probe_success{target="object-store"} == 1',
    'probe_success{target=~"auth[.].+"} == 1',
    'probe_success{probe="dns"} == 1',
)
MEBIBYTES = 250
# Past the sidecar, by the script's Python; the server listens on loopback alone.
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"


class Asked:
    """Prometheus in its pod."""

    def __init__(self, api: client.ApiClient) -> None:
        self.core = client.CoreV1Api(api)

    def query(self, expression: str, **more: str) -> list[dict[str, Any]]:
        """The result of an expression."""
        asked = "&".join(f"{key}={_quoted(value)}" for key, value in {"query": expression, **more}.items())
        url = f"http://127.0.0.1:{SERVER_PORT}/api/v1/query?{asked}"
        said = stream(
            self.core.connect_get_namespaced_pod_exec,
            POD,
            PROMETHEUS.namespace,
            container="discovery",
            command=["python3", "-c", ASK, url],
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        said.run_forever(timeout=30)
        found: list[dict[str, Any]] = json.loads(said.read_stdout())["data"]["result"]
        return found

    def ready(self) -> str | None:
        """The identity of the pod, if it is ready."""
        for pod in self.core.list_namespaced_pod(PROMETHEUS.namespace).items:
            if pod.metadata.name == POD and not pod.metadata.deletion_timestamp:
                conditions = {each.type: each.status for each in pod.status.conditions or []}
                return str(pod.metadata.uid) if conditions.get("Ready") == "True" else None
        return None


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _until(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(3)


@pytest.fixture
def prometheus(cluster: client.ApiClient) -> Asked:
    asked = Asked(cluster)
    for _ in _until(SECONDS):
        if asked.ready():
            return asked
    raise AssertionError(f"{POD} is not ready")


def test_everything_is_asked_and_answers(prometheus: Asked) -> None:
    seen: dict[str, int] = {}
    for _ in _until(SECONDS):
        seen = Counter(each["metric"]["job"] for each in prometheus.query("up == 1"))
        if TARGETS.items() <= seen.items():
            break
    down = [each["metric"] for each in prometheus.query("up == 0")]
    assert {job: seen.get(job, 0) for job in TARGETS} == TARGETS, down
    assert [name for name in NAMES if not prometheus.query(name)] == []


def test_it_costs_little(prometheus: Asked) -> None:
    of_prometheus = '{namespace="monitoring", pod="prometheus-0", container="prometheus"}'
    for _ in _until(SECONDS):
        if found := prometheus.query(f"container_memory_working_set_bytes{of_prometheus} / 2^20"):
            break
    mebibytes = float(found[0]["value"][1])
    (series,) = prometheus.query("prometheus_tsdb_head_series")
    print(f"{mebibytes:.0f} MiB for {series['value'][1]} series")  # noqa: T201 - pytest -s shows it
    assert mebibytes < MEBIBYTES


def test_a_restart_loses_nothing_that_was_asked(prometheus: Asked) -> None:
    moment = f"{time.time() - 15:.3f}"
    before = prometheus.query("sum by (job) (count_over_time(up[5m]))", time=moment)
    assert before
    first = prometheus.ready()
    prometheus.core.delete_namespaced_pod(POD, PROMETHEUS.namespace, grace_period_seconds=1)
    for _ in _until(SECONDS):
        if prometheus.ready() not in (None, first):
            break
    assert prometheus.query("sum by (job) (count_over_time(up[5m]))", time=moment) == before
