"""The queue of production jobs, as Jobs, pods and nodes of the cluster tell it."""

from typing import Any

from refsys.infra.scaling.rule import Load, Urgency
from refsys.infra.scaling.seen import pool_of, request

NAMESPACE = "production-s1"


def _spec(cpu: str = "1", memory: str = "1Gi", kind: str = "refsys-production-urgent") -> dict[str, Any]:
    runner = {"resources": {"requests": {"cpu": "250m", "memory": "512Mi"}}}
    return {
        "containers": [runner, {"resources": {"requests": {"cpu": cpu, "memory": memory}}}],
        "initContainers": [
            {"resources": {"requests": {"cpu": "5", "memory": "5Gi"}}},
            {"restartPolicy": "Always", "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}}},
        ],
        "priorityClassName": kind,
    }


def _job(name: str, namespace: str = NAMESPACE, **more: Any) -> dict[str, Any]:
    spec = {"template": {"spec": _spec(**{key: more.pop(key) for key in ("cpu", "memory", "kind") if key in more})}}
    metadata = {"namespace": namespace, "name": name, "labels": {"refsys/job": name, "refsys/attempt": "1"}}
    return {"metadata": metadata | more.pop("metadata", {}), "spec": spec | more.pop("spec", {}), "status": more}


def _pod(job: str, node: str | None, phase: str = "Running", namespace: str = NAMESPACE) -> dict[str, Any]:
    metadata = {
        "namespace": namespace,
        "name": f"{job}-x",
        "labels": {"refsys/job": job},
        "ownerReferences": [{"kind": "Job", "name": job}],
    }
    return {"metadata": metadata, "spec": _spec() | ({"nodeName": node} if node else {}), "status": {"phase": phase}}


def _node(name: str, *, pool: str = "processing", ready: str = "True", cpu: str = "4") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"refsys/pool": pool} if pool else {}},
        "spec": {},
        "status": {
            "allocatable": {"cpu": cpu, "memory": "8388608Ki"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


def test_a_pod_asks_for_its_containers_and_those_that_run_beside_them() -> None:
    assert request(_spec()) == Load(1, 1.5, 2048)


def test_jobs_run_where_they_are_placed_and_wait_by_their_urgency() -> None:
    jobs = [
        _job("a"),
        _job("b"),
        _job("c", kind="refsys-production-standard"),
        _job("d", kind="refsys-production-low"),
        _job("e", namespace="production-s3"),
    ]
    pods = [_pod("a", "p1"), _pod("b", None, "Pending"), _pod("c", "p1", "Failed")]
    found = pool_of(jobs, pods, [_node("p1"), _node("w1", pool="")])
    assert found.seen.queues["S1"].running == Load(1, 1.5, 2048)
    assert {urgency: load.jobs for urgency, load in found.seen.queues["S1"].waiting.items()} == {
        Urgency.URGENT: 1,
        Urgency.STANDARD: 1,
        Urgency.LOW: 1,
    }
    assert found.seen.queues["S3"].waiting[Urgency.URGENT].jobs == 1
    assert found.jobs == {"p1": 1}


def test_jobs_that_are_over_held_or_going_do_not_wait() -> None:
    over = [{"type": "Complete", "status": "True"}]
    jobs = [
        _job("a", conditions=over),
        _job("b", conditions=[{"type": "Failed", "status": "True"}]),
        _job("c", spec={"suspend": True}),
        _job("d", metadata={"deletionTimestamp": "2026-11-22T12:00:00Z"}),
    ]
    assert pool_of(jobs, [], []).seen.queues == {}


def test_a_node_has_room_beside_what_every_node_runs_and_only_nodes_that_are_well_count() -> None:
    daemon = _pod("calico", "p1")
    daemon["metadata"] |= {
        "labels": {"k8s-app": "calico-node"},
        "ownerReferences": [{"kind": "DaemonSet", "name": "c"}],
    }
    found = pool_of([], [daemon], [_node("p1"), _node("p2", ready="Unknown", cpu="1"), _node("w1", pool="", cpu="1")])
    assert found.seen.node == Load(0, 2.5, 8192 - 2048)
    assert found.jobs == {"p1": 0, "p2": 0}
    assert pool_of([], [], [_node("w1", pool="")]).seen.node is None


def test_a_job_that_no_node_can_take_is_told_and_asks_for_none() -> None:
    found = pool_of([_job("a", cpu="16")], [], [_node("p1")])
    assert found.too_big == ("production-s1/a",)
    assert found.seen.queues == {}
