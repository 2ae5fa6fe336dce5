"""Metrics of years as they are declared: nothing of them unless asked for, one compactor, mutual TLS, least rights."""

import json
from datetime import timedelta

import pytest
import yaml
from tests.unit.components.mocked_stack import Made, build
from tests.unit.components.test_components_secrets import values

from refsys.monitoring.components.thanos_config import Kept
from refsys.platform.components.flows import FLOWS, SCRAPED_OF_HISTORY, Flow, Outside, table
from refsys.platform.components.names import (
    ENVOY_METRICS_PORT,
    HEALTH_PORT,
    OBJECT_STORE,
    OPERATIONS,
    PROMETHEUS,
    THANOS_COMPACTOR,
    THANOS_QUERY,
    THANOS_STORE,
)

NAMES = ("thanos-store", "thanos-compactor", "thanos-query")


@pytest.fixture(scope="module")
def kept() -> list[Made]:
    return build(metrics_history=True)


def running(made: list[Made], name: str) -> Made:
    (found,) = (item for item in made if item.name == name and item.kind in ("Deployment", "StatefulSet"))
    return found


def arguments(made: list[Made], name: str, container: str | None = None) -> list[str]:
    pod = running(made, name).pod
    assert pod
    (found,) = (each for each in pod["containers"] if each["name"] == (container or name))
    return [str(each) for each in found["args"]]


def test_nothing_is_there_unless_it_is_asked_for(made: list[Made]) -> None:
    assert not [item.name for item in made if "thanos" in item.name]
    assert not [each for each in arguments(made, "prometheus") if "block-duration" in each]
    assert table(Outside())[: len(FLOWS)] == FLOWS
    assert not {flow.target for flow in table(Outside())} & {THANOS_COMPACTOR, THANOS_STORE}


def test_samples_stay_as_long_as_told(kept: list[Made]) -> None:
    compactor = arguments(kept, "thanos-compactor")
    assert {each for each in compactor if each.startswith("--retention")} == {
        "--retention.resolution-raw=7d",
        "--retention.resolution-5m=30d",
        "--retention.resolution-1h=3650d",
    }
    prometheus = arguments(kept, "prometheus")
    assert f"--storage.tsdb.retention.time={2 * 86_400}s" in prometheus
    assert {each for each in prometheus if "block-duration" in each} == {
        "--storage.tsdb.min-block-duration=2h",
        "--storage.tsdb.max-block-duration=2h",
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"raw": timedelta(days=2)}, "raw samples must stay at least 4 days"),
        ({"five_minutes": timedelta(days=10)}, "5 minutes must stay at least 18 days"),
        ({"hours": timedelta(days=20)}, "coarser samples must stay longer"),
    ],
)
def test_what_would_lose_samples_is_refused(wrong: dict[str, timedelta], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Kept(**wrong)


def test_there_is_never_more_than_one_compactor(kept: list[Made]) -> None:
    compactor = running(kept, "thanos-compactor")
    assert compactor.kind == "StatefulSet"
    assert compactor.inputs["spec"]["replicas"] == 1


def test_programs_are_unprivileged_and_write_to_their_own_folder_alone(kept: list[Made]) -> None:
    for name in NAMES:
        pod = running(kept, name).pod
        assert pod
        assert pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["resources"]["limits"]["memory"]
            assert {mount["name"] for mount in container["volumeMounts"] if not mount["readOnly"]} <= {"work"}


def test_grpc_is_mutual_tls_everywhere(kept: list[Made]) -> None:
    for served in (arguments(kept, "thanos-store"), arguments(kept, "prometheus", "thanos")):
        assert "--grpc-server-tls-client-ca=/etc/refsys/tls/ca.crt" in served
        assert "--grpc-server-tls-cert=/etc/refsys/tls/tls.crt" in served
    (config,) = (item.inputs["data"] for item in kept if item.name == "thanos-endpoints" and item.kind == "ConfigMap")
    asked = yaml.safe_load(config["endpoints.yml"])
    assert asked["default_client_config"]["tls_config"]["enabled"]
    assert [each["address"] for each in asked["endpoints"]] == [
        "prometheus.monitoring.svc.cluster.local:10901",
        "thanos-store.monitoring.svc.cluster.local:10901",
    ]
    assert all("--http-address=127.0.0.1:" not in each for each in arguments(kept, "thanos-store"))
    assert "--http-address=127.0.0.1:9096" in arguments(kept, "thanos-query")


def test_the_account_is_not_the_root_of_the_object_store(kept: list[Made]) -> None:
    found = values(kept)
    accounts = json.loads(found["object-store-accounts"]["users.json"])["accessAccounts"]
    assert set(accounts) == {"metrics"}
    assert accounts["metrics"]["role"] == "user"
    bucket = yaml.safe_load(found["thanos-bucket"]["bucket.yml"])["config"]
    assert (bucket["bucket"], bucket["access_key"]) == ("rs-metrics", "metrics")
    assert bucket["secret_key"] == accounts["metrics"]["secret"]
    assert bucket["endpoint"] == "object-store.infra.svc.cluster.local:7070"
    assert "insecure" not in bucket


def test_operators_ask_the_querier_and_prometheus_for_targets(kept: list[Made]) -> None:
    pod = running(kept, "operations").pod
    assert pod
    env = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    assert env["REFSYS_PROMETHEUS_URL"] == "https://prometheus.monitoring.svc.cluster.local:9090"
    assert env["REFSYS_PROMETHEUS_HISTORY_URL"] == "https://thanos-query.monitoring.svc.cluster.local:9090"
    (buckets,) = (item.pod for item in kept if item.kind == "Job" and item.name.startswith("buckets-"))
    assert buckets
    made = {entry["name"]: entry.get("value") for entry in buckets["containers"][0]["env"]}
    assert (made["REFSYS_METRICS_BUCKET"], made["REFSYS_METRICS_ACCOUNT"]) == ("rs-metrics", "metrics")


def test_flows_are_those_that_are_needed(kept: list[Made]) -> None:
    flows = set(table(Outside(metrics_history=True))) - set(table(Outside()))
    uploading = {flow.source for flow in flows if flow.target == OBJECT_STORE}
    assert uploading == {PROMETHEUS, THANOS_STORE, THANOS_COMPACTOR}
    assert {flow.source for flow in flows if flow.target == THANOS_QUERY} == {OPERATIONS, PROMETHEUS}
    assert not {flow for flow in flows if flow.target == THANOS_COMPACTOR} - {Flow(PROMETHEUS, THANOS_COMPACTOR, 10902)}
    declared = {
        (name, port["containerPort"])
        for name in (*NAMES, "prometheus")
        for container in (running(kept, name).pod or {})["containers"]
        for port in container.get("ports", [])
        if port["name"].startswith("metrics")
    }
    of_prometheus = {("prometheus", HEALTH_PORT), ("prometheus", ENVOY_METRICS_PORT)}
    assert {(app.name, port) for app, port in SCRAPED_OF_HISTORY} == declared - of_prometheus
