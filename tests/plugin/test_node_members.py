"""Nodes of a real API server are cordoned, drained and looked at by the real kubectl; there is no kubelet."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.plugin.api_server import Cluster

from refsys.infra import paths
from refsys.infra.errors import UserError
from refsys.infra.nodes import members
from refsys.infra.nodes.members import Members, is_leaving

NODE = "drained"
PODS = "/api/v1/namespaces/default/pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
LABELS = {"app": "held"}


class Asked:
    """The API server of the tests, which knows tokens and no certificates."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def __exit__(self, *_: object) -> None:
        return

    def text(self, path: str) -> str:
        return json.dumps(self.cluster.get(path))


@pytest.fixture
def nodes(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Members]:
    """The nodes, with one on which a pod runs that belongs to a set."""
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path))
    paths.write_private(paths.environment_home("t") / members.KUBECONFIG, cluster.kubeconfig)
    monkeypatch.setattr(members, "ApiServer", lambda _: Asked(cluster))
    cluster.request("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
    pod = {"nodeName": NODE, "terminationGracePeriodSeconds": 0, "containers": [{"name": "a", "image": "a"}]}
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    made = {"metadata": {"name": "held"}, "spec": {"selector": {"matchLabels": LABELS}, "template": template}}
    cluster.request("POST", SETS, made)
    _wait(lambda: bool(_pods(cluster)))
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    cluster.merge(f"{PODS}/{_pods(cluster)[0]['metadata']['name']}/status", {"status": ready})
    with Members("t") as found:
        yield found
    cluster.request("DELETE", f"{SETS}/held?propagationPolicy=Background")
    cluster.request("DELETE", f"/api/v1/nodes/{NODE}")


def _pods(cluster: Cluster) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.get(f"{PODS}?labelSelector=app%3Dheld")["items"]
    return found


def _wait(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_budget_holds_a_pod_on_its_node_and_is_named(cluster: Cluster, nodes: Members) -> None:
    budget = {"metadata": {"name": "held"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}}}
    cluster.request("POST", BUDGETS, budget)
    _wait(lambda: (cluster.get(f"{BUDGETS}/held").get("status") or {}).get("currentHealthy") == 1)
    (before,) = _pods(cluster)
    with pytest.raises(UserError, match="could not be emptied within 3 s") as error:
        nodes.drain(NODE, 3)
    assert f"default/{before['metadata']['name']} its disruption budget held never lets one of its 1 pods end" in str(
        error.value
    )
    assert "kubectl -n default edit pdb held" in error.value.fix
    assert [each["metadata"]["uid"] for each in _pods(cluster)] == [before["metadata"]["uid"]]
    assert nodes.nodes()[NODE]["spec"]["unschedulable"] is True
    nodes.uncordon(NODE)
    assert not nodes.nodes()[NODE]["spec"].get("unschedulable")

    cluster.request("DELETE", f"{BUDGETS}/held")
    nodes.drain(NODE, 30)
    assert before["metadata"]["uid"] not in {each["metadata"]["uid"] for each in _pods(cluster)}


def test_a_node_that_is_to_leave_is_marked_in_another_way_than_people_do(nodes: Members) -> None:
    nodes.let_go(NODE)
    nodes.let_go(NODE)
    assert is_leaving(nodes.nodes()[NODE])
    assert not nodes.nodes()[NODE]["spec"].get("unschedulable")
    nodes.take_back(NODE)
    assert not is_leaving(nodes.nodes()[NODE])


def test_volumes_that_lie_on_a_node_are_found(cluster: Cluster, nodes: Members) -> None:
    hostname = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": "default", "name": "data"}
    volume = {
        "capacity": {"storage": "1Mi"},
        "accessModes": ["ReadWriteOnce"],
        "local": {"path": "/data"},
        "claimRef": claim,
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [hostname]}]}},
    }
    wanted = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "volumeName": "data",
        "resources": {"requests": {"storage": "1Mi"}},
    }
    cluster.request("POST", "/api/v1/persistentvolumes", {"metadata": {"name": "data"}, "spec": volume})
    assert nodes.claims(NODE) == [], "it is nobody's yet"
    claims = "/api/v1/namespaces/default/persistentvolumeclaims"
    cluster.request("POST", claims, {"metadata": {"name": "data"}, "spec": wanted})
    _wait(lambda: nodes.claims(NODE) == ["default/data"])
    assert nodes.claims("other") == []
