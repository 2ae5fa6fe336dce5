"""Metrics of a running environment: everything is asked and answers, and a restart loses nothing."""

import itertools
import json
import time
from collections import Counter

import pytest
from kubernetes import client

from refsys.monitoring.components import discovery
from refsys.monitoring.components.prometheus_config import SCRAPE_INTERVAL
from refsys.platform.components.flows import PROCESSES
from refsys.platform.components.names import PROMETHEUS
from tests.local.prometheus import POD, Asked, until

pytestmark = pytest.mark.timeout(600)

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
LOOK_SECONDS = 5  # Prometheus takes over what changed so often


@pytest.fixture
def prometheus(cluster: client.ApiClient) -> Asked:
    asked = Asked(cluster)
    for _ in until(SECONDS):
        if asked.ready():
            return asked
    raise AssertionError(f"{POD} is not ready")


def test_everything_is_asked_and_answers(prometheus: Asked) -> None:
    seen: dict[str, int] = {}
    for _ in until(SECONDS):
        seen = Counter(each["metric"]["job"] for each in prometheus.query("up == 1"))
        if TARGETS.items() <= seen.items():
            break
    down = [each["metric"] for each in prometheus.query("up == 0")]
    assert {job: seen.get(job, 0) for job in TARGETS} == TARGETS, down
    assert [name for name in NAMES if not prometheus.query(name)] == []


def test_it_costs_little(prometheus: Asked) -> None:
    of_prometheus = '{namespace="monitoring", pod="prometheus-0", container="prometheus"}'
    for _ in until(SECONDS):
        if found := prometheus.query(f"container_memory_working_set_bytes{of_prometheus} / 2^20"):
            break
    mebibytes = float(found[0]["value"][1])
    (series,) = prometheus.query("prometheus_tsdb_head_series")
    print(f"{mebibytes:.0f} MiB for {series['value'][1]} series")  # noqa: T201 - pytest -s shows it
    assert mebibytes < MEBIBYTES


def test_a_restart_loses_nothing_that_was_asked(prometheus: Asked) -> None:
    moment = f"{time.time() - 15:.3f}"
    before = samples(prometheus, "up[5m]", time=moment)
    assert before
    first, killed = prometheus.ready(), time.time()
    prometheus.core.delete_namespaced_pod(POD, PROMETHEUS.namespace, grace_period_seconds=1)
    for _ in until(SECONDS):
        if prometheus.ready() not in (None, first):
            break
    back = time.time()
    assert samples(prometheus, "up[5m]", time=moment) == before
    for _ in until(SECONDS):
        (over,) = samples(prometheus, 'up{job="node", node="w1"}[15m]').values()
        if over[-1] > back:
            break
    gaps = [later - earlier for earlier, later in itertools.pairwise(over)]
    # Before and after the time away there is less than one interval each that waits for its turn; whom to ask is known
    # when discovery has told, whose first question may get no answer, and Prometheus has looked.
    told = discovery.TIMEOUT_SECONDS + discovery.SECONDS + LOOK_SECONDS
    assert max(gaps) <= back - killed + told + 2 * SCRAPE_INTERVAL.total_seconds()


def samples(prometheus: Asked, window: str, **more: str) -> dict[str, list[float]]:
    """The moments of the samples in a window, by series."""
    return {
        json.dumps(series["metric"], sort_keys=True): [float(moment) for moment, _ in series["values"]]
        for series in prometheus.query(window, **more)
    }
