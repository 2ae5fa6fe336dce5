"""Why a node can't be emptied or given up."""

from typing import Any

import pytest

from refsys.infra.nodes.blockers import blockers, claims_on, leaving


def _pod(name: str = "web-1", owner: str | None = "ReplicaSet", **more: Any) -> dict[str, Any]:
    owners = [{"kind": owner, "name": "x", "controller": True}] if owner else []
    metadata = {"namespace": "database", "name": name, "labels": {"app": "web"}, "ownerReferences": owners}
    return {"metadata": metadata | more, "status": {"phase": "Running"}, "spec": {}}


def _budget(selector: dict[str, Any] | None, **status: int) -> dict[str, Any]:
    metadata = {"namespace": "database", "name": "web"}
    return {"metadata": metadata, "spec": {"selector": selector}, "status": status}


FULL = {"expectedPods": 2, "desiredHealthy": 2, "currentHealthy": 2, "disruptionsAllowed": 0}
HURT = {"expectedPods": 3, "desiredHealthy": 2, "currentHealthy": 2, "disruptionsAllowed": 0}
FREE = {"expectedPods": 3, "desiredHealthy": 2, "currentHealthy": 3, "disruptionsAllowed": 1}
OURS = {"matchLabels": {"app": "web"}}


def test_pods_of_every_node_and_those_that_are_over_do_not_leave() -> None:
    ended = _pod("ended", owner="Job") | {"status": {"phase": "Succeeded"}}
    mirror = _pod("mirror", owner="Node", annotations={"kubernetes.io/config.mirror": "x"})
    assert [pod["metadata"]["name"] for pod in leaving([_pod(), _pod("d", owner="DaemonSet"), ended, mirror])] == [
        "web-1"
    ]


@pytest.mark.parametrize(
    ("budget", "why", "fix"),
    [
        (_budget(OURS, **FULL), "never lets one of its 2 pods end", "kubectl -n database edit pdb web"),
        (_budget(OURS, **HURT), "wants 2 healthy pods, and 2 are", "./refsys status local"),
        (_budget({}, **FULL), "never lets one", "edit pdb"),
        (_budget(OURS, **FREE), "has not ended yet", "run the same command again"),
        (_budget({"matchLabels": {"app": "other"}}, **FULL), "has not ended yet", "again"),
        (_budget(None, **FULL), "has not ended yet", "again"),
    ],
)
def test_a_budget_that_allows_none_is_named_with_what_helps(budget: dict[str, Any], why: str, fix: str) -> None:
    (found,) = blockers("local", [_pod()], [budget])
    assert found.pod == "database/web-1"
    assert why in found.why
    assert fix in found.fix


@pytest.mark.parametrize(
    ("operator", "values", "held"),
    [
        ("In", ["web", "api"], True),
        ("In", ["api"], False),
        ("NotIn", ["api"], True),
        ("NotIn", ["web"], False),
        ("Exists", None, True),
        ("DoesNotExist", None, False),
    ],
)
def test_budgets_select_by_expressions(operator: str, values: list[str] | None, held: bool) -> None:
    expression = {"key": "app", "operator": operator} | ({"values": values} if values else {})
    (found,) = blockers("local", [_pod()], [_budget({"matchExpressions": [expression]}, **FULL)])
    assert ("never lets" in found.why) is held


def test_pods_of_nobody_and_pods_that_are_ending_are_told() -> None:
    nobody, ending = blockers("local", [_pod("x", owner=None), _pod("y", deletionTimestamp="2026-11-22T12:00:00Z")], [])
    assert "belongs to nothing" in nobody.why
    assert "kubectl -n database delete pod x" in nobody.fix
    assert "had to be gone by 2026-11-22T12:00:00Z" in ending.why
    assert "kubectl -n database describe pod y" in ending.fix


def _volume(name: str, *hosts: str, phase: str = "Bound") -> dict[str, Any]:
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": list(hosts)}]}
    affinity = {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}} if hosts else {}
    claim = {"namespace": "database", "name": name}
    return {"spec": {"claimRef": claim, **affinity}, "status": {"phase": phase}}


def test_volumes_of_a_node_are_those_that_are_nowhere_else() -> None:
    volumes = [
        _volume("postgresql", "w1"),
        _volume("kafka", "w2"),
        _volume("shared", "w1", "w2"),
        _volume("anywhere"),
        _volume("released", "w1", phase="Released"),
    ]
    assert claims_on("w1", volumes) == ["database/postgresql"]
