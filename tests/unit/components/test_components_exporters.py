"""Exporters as they are declared: each has what it needs to look, and nothing else."""

from typing import Any

import yaml
from tests.unit.components.mocked_stack import Made

from refsys.monitoring.components.kube_state_metrics import RESOURCES
from refsys.platform.components.names import EXPORTER, KAFKA, KAFKA_LAG, OBJECT_STORE, POSTGRESQL
from refsys.platform.components.postgresql_config import EXPORTER_USER


def pod(made: list[Made], name: str) -> dict[str, Any]:
    """The pod of a workload."""
    (found,) = (item.pod for item in made if item.kind in ("Deployment", "StatefulSet") and item.name == name)
    assert found
    return found


def container(made: list[Made], app: str, name: str) -> dict[str, Any]:
    (found,) = (each for each in pod(made, app)["containers"] if each["name"] == name)
    return dict(found)


def test_postgresqls_exporter_sees_its_socket_alone(made: list[Made]) -> None:
    found = container(made, POSTGRESQL.name, "exporter")
    assert [mount["name"] for mount in found["volumeMounts"]] == ["socket"]
    assert found["securityContext"]["runAsUser"] == 65532
    assert {each["name"] for each in found["env"]} == {"DATA_SOURCE_NAME", "GOMAXPROCS", "GOMEMLIMIT"}
    access = next(item.inputs["data"] for item in made if item.kind == "ConfigMap" and item.name == "postgresql-config")
    assert access["refsys.ident"] == f"exporter {EXPORTER_USER} exporter\n"
    assert not [line for line in access["refsys.hba"].splitlines() if "exporter" in line and "local" not in line]


def test_the_object_stores_translator_sees_its_configuration_alone(made: list[Made]) -> None:
    found = container(made, OBJECT_STORE.name, "exporter")
    assert [mount["name"] for mount in found["volumeMounts"]] == ["metrics"]
    store = container(made, OBJECT_STORE.name, OBJECT_STORE.name)
    address = next(each["value"] for each in store["env"] if each["name"] == "VGW_METRICS_DOGSTATS_SERVERS")
    assert f"--statsd.listen-udp={address}" in found["args"]
    assert address.startswith("127.0.0.1:")


def test_kafka_tells_what_the_rules_of_its_agent_say(made: list[Made]) -> None:
    env = {each["name"]: each.get("value") for each in container(made, KAFKA.name, KAFKA.name)["env"]}
    port, _, file = env["KAFKA_METRICS"].partition(":")
    assert {"name": "metrics", "containerPort": int(port), "protocol": "TCP"} in (
        container(made, KAFKA.name, KAFKA.name)["ports"]
    )
    data = next(item.inputs["data"] for item in made if item.kind == "ConfigMap" and item.name == "kafka-config")
    rules = yaml.safe_load(data[file.rpartition("/")[2]])
    # Of objects that nobody named, nothing is asked.
    assert rules["includeObjectNames"]


def test_kube_state_metrics_may_list_what_it_tells_of(made: list[Made]) -> None:
    (rules,) = (
        item.inputs["rules"] for item in made if item.kind == "ClusterRole" and item.name == "refsys:kube-state-metrics"
    )
    assert {verb for rule in rules for verb in rule["verbs"]} == {"list", "watch"}
    told = {name for names in RESOURCES.values() for name in names}
    assert {name for rule in rules for name in rule["resources"]} == told
    assert "secrets" not in told
    (arguments,) = (
        argument.partition("=")[2]
        for argument in pod(made, "kube-state-metrics")["containers"][0]["args"]
        if argument.startswith("--resources=")
    )
    assert set(arguments.split(",")) == told


def test_clamavs_figures_are_a_job_of_their_own(made: list[Made]) -> None:
    ports = {
        port["name"]: int(port["containerPort"]) for port in container(made, EXPORTER.name, EXPORTER.name)["ports"]
    }
    assert set(ports) == {"metrics", "metrics-clamav"}
    env = {each["name"]: each.get("value") for each in container(made, EXPORTER.name, EXPORTER.name)["env"]}
    assert env["REFSYS_CLAMAV_METRICS_PORT"] == str(ports["metrics-clamav"])
    assert [port["name"] for port in container(made, KAFKA_LAG.name, KAFKA_LAG.name)["ports"]] == ["metrics"]


def test_probes_trust_the_authorities_of_stations(made: list[Made]) -> None:
    data = next(item.inputs["data"] for item in made if item.kind == "ConfigMap" and item.name == "blackbox")
    assert data["own.crt"] == "authority\n"
    assert data["stations.crt"] == "authority\n\nstation authority\n"
    (config,) = (
        yaml.safe_load(item.inputs["data"]["prometheus.yml"])
        for item in made
        if item.kind == "ConfigMap" and item.name == "prometheus-config"
    )
    (job,) = (job for job in config["scrape_configs"] if job["job_name"] == "blackbox")
    modules = yaml.safe_load(data["blackbox.yml"])["modules"]
    assert {each["labels"]["__param_module"] for each in job["static_configs"]} <= set(modules)
    assert [each["labels"]["station"] for each in job["static_configs"] if "station" in each["labels"]] == ["demo"]
