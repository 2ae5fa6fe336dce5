"""Pools of a running environment grow and shrink, and their nodes are made anew."""

import json
import time
from typing import Any

import pytest
from kubernetes import client, config

from refsys.infra.clouds.local import nspawn
from refsys.infra.environment import config_file
from tests.local.conftest import Environment
from tests.local.probes import image, pod

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

NAMESPACE = "t-nodes"
COMMENT = "# two workers would not be enough in December"
SMALL = {"memory_mib": 4096, "cpus": 2}


def rows(environment: Environment) -> dict[str, dict[str, Any]]:
    found = json.loads(environment.refsys("node", "list", environment.name, "--json").output)
    return {row["name"]: row for row in found}


def instance(environment: Environment, node: str) -> str:
    """What is another one with each machine made."""
    root = nspawn.NodeSpec(environment.name, node, "", "", 0, 0, "").root
    return (root / "etc/machine-id").read_text()


def well(environment: Environment) -> bool:
    return bool(json.loads(environment.refsys("status", environment.name, "--json", check=False).output)["well"])


def write(environment: Environment, **values: Any) -> None:
    """Set the config, with a comment that has to stay."""
    environment.configure(**values)
    config_file(environment.name).write_text(f"{COMMENT}\n{config_file(environment.name).read_text()}")


@pytest.fixture(scope="module")
def core(environment: Environment) -> client.CoreV1Api:
    write(environment, local={"workers": 1})
    environment.refsys("up", environment.name)
    return client.CoreV1Api(config.new_client_from_config(environment.endpoints()["kubeconfig"]))


def test_a_pool_grows_and_the_config_stays_what_it_was_but_for_the_number(
    environment: Environment, core: client.CoreV1Api
) -> None:
    before = config_file(environment.name).read_text()
    kept = instance(environment, "w1")
    done = environment.refsys("scale", environment.name, "w", "2")
    assert "has 2 nodes (w1, w2)" in done.output
    assert config_file(environment.name).read_text() == before.replace("workers: 1", "workers: 2")
    assert COMMENT in before
    assert {name: row["state"] for name, row in rows(environment).items()} == dict.fromkeys(
        ("cp1", "w1", "w2"), "ready"
    )
    assert instance(environment, "w1") == kept
    assert well(environment)


def test_a_pod_that_may_not_end_keeps_its_node_and_is_named(environment: Environment, core: client.CoreV1Api) -> None:
    api = core.api_client
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    spec = pod("held", image(api), "import time; time.sleep(3600)")["spec"]
    del spec["containers"][0]["readinessProbe"]
    spec |= {"restartPolicy": "Always", "nodeSelector": {"kubernetes.io/hostname": "w2"}}
    labels = {"app": "held"}
    deployment = {
        "metadata": {"name": "held"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }
    budget = {"metadata": {"name": "held"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}}
    client.AppsV1Api(api).create_namespaced_deployment(NAMESPACE, deployment)
    client.PolicyV1Api(api).create_namespaced_pod_disruption_budget(NAMESPACE, budget)
    until = time.monotonic() + 120
    while [each.status.phase for each in core.list_namespaced_pod(NAMESPACE).items] != ["Running"]:
        assert time.monotonic() < until
        time.sleep(1)
    before = config_file(environment.name).read_text()
    done = environment.refsys("scale", environment.name, "w", "1", "--timeout", "25", check=False)
    assert done.code == 1
    assert "w2 could not be emptied within 25 s" in done.output
    assert "disruption budget held never lets one of its 1 pods end" in done.output
    assert f"kubectl -n {NAMESPACE} edit pdb held" in done.output
    assert config_file(environment.name).read_text() == before
    assert rows(environment)["w2"]["state"] == "ready"
    done = environment.refsys("node", "replace", "w2", environment.name, "--timeout", "25", check=False)
    assert done.code == 1
    assert "held never lets one" in done.output
    client.PolicyV1Api(api).delete_namespaced_pod_disruption_budget("held", NAMESPACE)
    client.AppsV1Api(api).delete_namespaced_deployment("held", NAMESPACE)


def test_a_node_is_made_anew_and_is_back(environment: Environment, core: client.CoreV1Api) -> None:
    before = {name: instance(environment, name) for name in ("cp1", "w1", "w2")}
    done = environment.refsys("node", "replace", "w2", environment.name)
    assert "node w2 of" in done.output
    after = {name: instance(environment, name) for name in before}
    assert {name for name in before if before[name] != after[name]} == {"w2"}
    assert core.read_node("w2").status.node_info.machine_id == after["w2"].strip()
    assert rows(environment)["w2"]["state"] == "ready"
    assert well(environment)
    daemons = core.list_pod_for_all_namespaces(field_selector="spec.nodeName=w2").items
    assert {each.status.phase for each in daemons} == {"Running"}
    log = core.read_namespaced_pod_log(daemons[0].metadata.name, daemons[0].metadata.namespace, tail_lines=1)
    assert log, "the new kubelet's certificate is signed: its logs can be read"


def test_a_node_with_volumes_is_kept(environment: Environment, core: client.CoreV1Api) -> None:
    kept = instance(environment, "w1")
    for command in (("node", "replace", "w1", environment.name), ("node", "replace", "cp1", environment.name)):
        done = environment.refsys(*command, check=False)
        assert done.code == 1, command
    assert "database/postgresql" in rows(environment)["w1"]["volumes"]
    assert instance(environment, "w1") == kept


def test_a_change_is_rolled_through_a_pool_and_goes_on_where_it_stopped(
    environment: Environment, core: client.CoreV1Api
) -> None:
    before = {name: instance(environment, name) for name in ("cp1", "w1", "w2")}
    write(environment, local={"workers": 2, "worker": SMALL})
    refused = environment.refsys("up", environment.name, check=False)
    assert refused.code == 1
    assert "node w1 needs a new machine" in refused.output
    assert instance(environment, "w1") == before["w1"]
    core.create_namespaced_pod(NAMESPACE, _bare("alone", core))
    stopped = environment.refsys("node", "roll", "w", environment.name, "--timeout", "25", check=False)
    assert stopped.code == 1
    assert "stopped at w2" in stopped.output
    assert "alone" in stopped.output
    core.delete_namespaced_pod("probe-alone", NAMESPACE, grace_period_seconds=0)
    done = environment.refsys("node", "roll", "w", environment.name)
    assert "w2 made anew" in done.output
    assert "w1 stays as it was made" in done.output
    assert {name for name in before if before[name] != instance(environment, name)} == {"w2"}
    assert int(core.read_node("w2").status.capacity["memory"].removesuffix("Ki")) > 0
    assert well(environment)
    again = environment.refsys("node", "roll", "w", environment.name)
    assert "no node had to be made anew" in again.output


def _bare(name: str, core: client.CoreV1Api) -> Any:
    manifest = pod(name, image(core.api_client), "import time; time.sleep(3600)")
    del manifest["spec"]["containers"][0]["readinessProbe"]
    manifest["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "w2"}
    return manifest


def test_a_pool_shrinks_and_nothing_of_the_node_is_left(environment: Environment, core: client.CoreV1Api) -> None:
    core.delete_namespace(NAMESPACE)
    environment.refsys("scale", environment.name, "w", "1")
    assert set(rows(environment)) == {"cp1", "w1"}
    assert not nspawn.exists(nspawn.NodeSpec(environment.name, "w2", "", "", 0, 0, ""))
    assert COMMENT in config_file(environment.name).read_text()
    environment.configure(local={"workers": 1})
    assert well(environment)
