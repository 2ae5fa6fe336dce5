"""Prometheus as it is declared: promtool takes its configuration, and mistakes do not reach the running server."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.means.prometheus import promtool, written
from tests.unit.components.mocked_stack import Made

from refsys.infra.environment import Environment
from refsys.infra.environment import Prices as PricesOfConfig
from refsys.infra.errors import UserError
from refsys.monitoring.components.prices import Prices
from refsys.monitoring.components.prometheus_config import prometheus_config, rules
from refsys.monitoring.components.scraping import NODES, PODS, scrape_configs
from refsys.platform.components.flows import Network, Outside, StationNetwork, table
from refsys.platform.components.names import ALERTMANAGER_CHECK, PROMETHEUS, PROMETHEUS_CHECK
from refsys.platform.components.pod import Metrics

RULE = {"groups": [{"name": "test", "rules": [{"alert": "Down", "expr": "up == 0"}]}]}
# Metrics of jobs of which only a list is kept; not parts of the names of recording rules, not labels.
OF_THE_CLUSTER = re.compile(
    r"(?<![:\w])(?:apiserver|container|coredns|envoy(?!_response|_http_conn)|etcd|felix|jvm|kubelet|vault)_\w+(?![:\w])"
)
POD = {
    "__address__": "10.244.0.7:9090",
    "__meta_kubernetes_namespace": "processing",
    "__meta_kubernetes_pod_name": "prip-1",
    "__meta_kubernetes_pod_node_name": "w1",
    "__meta_kubernetes_pod_label_app_kubernetes_io_name": "prip",
    "__meta_kubernetes_pod_container_port_name": "metrics",
}


def relabelled(job: dict[str, Any], found: dict[str, str]) -> dict[str, str] | None:
    """The labels of a target, or None where the job leaves it out; the actions that the configuration uses."""
    labels = {"job": job["job_name"], **found}
    for rule in job["relabel_configs"]:
        text = ";".join(labels.get(name, "") for name in rule.get("source_labels", []))
        match = re.fullmatch(rule.get("regex", "(.*)"), text)
        action = rule.get("action", "replace")
        if action in ("keep", "drop") and (match is None) == (action == "keep"):
            return None
        if action == "replace" and match:
            labels[rule["target_label"]] = match.expand(rule.get("replacement", "$1").replace("$1", "\\g<1>"))
    return {name: value for name, value in labels.items() if not name.startswith("__meta")}


def targets(found: dict[str, str], role: str = "pod") -> dict[str, dict[str, str]]:
    """Configurations that take a target, and its labels."""
    taken = {}
    for job in scrape_configs():
        if job["file_sd_configs"] == [{"pod": PODS, "node": NODES}[role]] and (labels := relabelled(job, found)):
            taken[job["job_name"]] = labels
    return taken


def pod(**changes: str) -> dict[str, str]:
    names = {"app": "label_app_kubernetes_io_name", "port": "container_port_name", "system_app": "label_k8s_app"}
    changed = {f"__meta_kubernetes_pod_{names.get(name, name)}": value for name, value in changes.items()}
    namespace = changed.pop("__meta_kubernetes_pod_namespace", "processing")
    return POD | changed | {"__meta_kubernetes_namespace": namespace}


def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    done = promtool("check", "config", "--syntax-only", written(tmp_path))
    assert done.returncode == 0, done.stderr


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    for name, text in rules(Prices(vcpu_hour=0.00001)).items():
        (tmp_path / name).write_text(text)
    done = promtool("check", "rules", *tmp_path.iterdir())
    assert done.returncode == 0, done.stderr


def test_prices_of_the_config_are_recorded() -> None:
    prices = PricesOfConfig.model_validate({"vcpu_hour": 0.5})
    recorded = rules(Prices(**prices.model_dump()))["prices.yml"]
    assert "record: price:vcpu_hour:eur\n    expr: vector(0.5)" in recorded
    assert PricesOfConfig().model_dump() == asdict(Prices()), "the same defaults"
    with pytest.raises(UserError, match=r"prices.vcpu_hour = -1"):
        Environment.parse("test", {"prices": {"vcpu_hour": -1}})


def test_rules_use_only_what_is_kept() -> None:
    kept = [rule["regex"] for job in scrape_configs() for rule in job["metric_relabel_configs"] if is_list(rule)]
    used = {name for text in rules().values() for name in OF_THE_CLUSTER.findall(text)}
    assert sorted(name for name in used if not any(re.fullmatch(names, name) for names in kept)) == []


def is_list(rule: dict[str, Any]) -> bool:
    return (rule["action"], rule.get("source_labels")) == ("keep", ["__name__"])


@pytest.mark.parametrize("mistake", [{"scrape_configs": [{"job": "x"}]}, {"global": {"scrape_interval": "often"}}])
def test_promtool_refuses_a_wrong_configuration(tmp_path: Path, mistake: dict[str, Any]) -> None:
    assert promtool("check", "config", "--syntax-only", written(tmp_path, **mistake)).returncode != 0


@pytest.mark.parametrize("mistake", [{"expr": "rate(up"}, {"expr": "up == 0", "for": "soon"}])
def test_promtool_refuses_wrong_rules(tmp_path: Path, mistake: dict[str, str]) -> None:
    wrong = {"groups": [{"name": "test", "rules": [{"alert": "Down", **mistake}]}]}
    written(tmp_path, {"right.yml": yaml.safe_dump(RULE), "wrong.yml": yaml.safe_dump(wrong)})
    assert promtool("check", "rules", tmp_path / "rules/right.yml").returncode == 0
    assert promtool("check", "rules", tmp_path / "rules/wrong.yml").returncode != 0


def test_the_server_starts_with_what_was_checked(made: list[Made]) -> None:
    data = {item.name: item.inputs["data"] for item in made if item.kind == "ConfigMap"}
    for name in ("config", "rules"):
        assert data[f"{PROMETHEUS.name}-{name}"] == data[f"{PROMETHEUS_CHECK.name}-{name}"]
    assert yaml.safe_load(data["prometheus-config"]["prometheus.yml"])["scrape_configs"][: len(scrape_configs())] == (
        scrape_configs()
    )
    (check,) = (item.pod for item in made if item.kind == "Job" and item.name.startswith(PROMETHEUS_CHECK.name))
    assert check
    (container,) = check["containers"]
    script = container["command"][-1]
    assert "promtool check config" in script
    assert all(f"promtool check rules /etc/refsys/rules/{file}" in script for file in rules())


def test_alertmanager_starts_with_what_was_checked(made: list[Made]) -> None:
    data = {item.name: item.inputs["data"] for item in made if item.kind == "Secret" and "data" in item.inputs}
    assert data["alertmanager-config"] == data[f"{ALERTMANAGER_CHECK.name}-config"]
    (check,) = (item.pod for item in made if item.kind == "Job" and item.name.startswith(ALERTMANAGER_CHECK.name))
    assert check
    (container,) = check["containers"]
    assert container["command"] == ["amtool", "check-config", "/etc/refsys/alertmanager/alertmanager.yml"]


def test_prometheus_may_look_and_nothing_else(made: list[Made]) -> None:
    (role,) = (item.inputs["rules"] for item in made if item.kind == "ClusterRole" and item.name == "refsys:prometheus")
    assert {verb for rule in role for verb in rule["verbs"]} == {"get", "list"}
    assert {name for rule in role for name in rule.get("resources", [])} == {"nodes", "nodes/metrics", "pods"}


@pytest.mark.parametrize(
    ("found", "name", "job"),
    [
        (pod(), "pods", "chain"),
        (pod(namespace="iam", app="keycloak"), "keycloak", "keycloak"),
        (pod(namespace="networking", app="gateway", port="metrics-envoy"), "envoy", "envoy"),
        (pod(namespace="monitoring", app="log-store", port="metrics"), "pods", "opensearch"),
        (pod(namespace="monitoring", app="log-store", port="metrics-envoy"), "envoy", "envoy"),
        (pod(namespace="monitoring", app="kube-state-metrics"), "kube-state-metrics", "kube-state-metrics"),
        (pod(namespace="database", app="postgresql"), "postgresql", "postgresql"),
    ],
)
def test_each_port_for_metrics_is_asked_once(found: dict[str, str], name: str, job: str) -> None:
    labels = {
        "job": job,
        "namespace": found["__meta_kubernetes_namespace"],
        "pod": "prip-1",
        "app": found["__meta_kubernetes_pod_label_app_kubernetes_io_name"],
        "node": "w1",
        "instance": "prip-1",
        "__address__": "10.244.0.7:9090",
    }
    assert targets(found) == {name: labels}


def test_other_ports_are_left_alone() -> None:
    assert targets(pod(port="https")) == {}


@pytest.mark.parametrize(
    ("app", "job", "port"),
    [("kube-dns", "coredns", 9153), ("calico-node", "calico", 9091), ("calico-kube-controllers", "calico", 9094)],
)
def test_pods_that_come_with_the_nodes_are_asked(app: str, job: str, port: int) -> None:
    (labels,) = targets(pod(namespace="kube-system", system_app=app, port="dns", ip="10.0.0.9")).values()
    assert (labels["job"], labels["__address__"], labels["app"]) == (job, f"10.0.0.9:{port}", app)


def test_openbao_is_asked_by_its_api() -> None:
    found = pod(namespace="security", app="openbao", port="https", ip="10.244.0.8")
    assert targets(found)["openbao"]["__address__"] == "10.244.0.8:8200"


def test_nodes_are_asked_by_their_role() -> None:
    worker = {"__meta_kubernetes_node_name": "w1", "__meta_kubernetes_node_address_InternalIP": "10.0.0.20"}
    control_plane = worker | {"__meta_kubernetes_node_labelpresent_node_role_kubernetes_io_control_plane": "true"}
    assert set(targets(worker, "node")) == {"kubelet", "cadvisor"}
    found = targets(control_plane, "node")
    assert {name: labels["__address__"] for name, labels in found.items()} == {
        "kubelet": "10.0.0.20:10250",
        "cadvisor": "10.0.0.20:10250",
        "apiserver": "10.0.0.20:6443",
        "etcd": "10.0.0.20:2381",
    }
    assert {labels["node"] for labels in found.values()} == {"w1"}


def test_what_is_asked_on_nodes_may_be_reached() -> None:
    flows = table(Outside(nodes="10.0.0.0/24", api_servers=[StationNetwork("10.0.0.10/32", 6443)]))
    reached = {flow.port for flow in flows if flow.source == PROMETHEUS and isinstance(flow.target, Network)}
    assert reached == {10250, 2381, 9091, 9100, 6443}


def test_names_of_metrics_and_labels_are_written_right() -> None:
    for job in scrape_configs():
        for rule in (*job["relabel_configs"], *job["metric_relabel_configs"]):
            re.compile(rule.get("regex", ""))
    assert {job["job_name"] for job in prometheus_config("x")["scrape_configs"]} >= {"pods", "etcd", "cadvisor"}


@pytest.mark.parametrize("name", ["metric", "metrics-", "metrics-much-too-long", "Metrics"])
def test_a_port_that_nobody_would_find_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be metrics"):
        Metrics(name, 9000)
