"""Waiting for what Kubernetes makes of an object; the test plays the kubelet, since there are no nodes."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi import automation as auto
from tests.plugin.api_server import MERGE, Cluster
from tests.plugin.engine import Program, Stack

Options = Callable[..., pulumi.ResourceOptions]
PODS = "/api/v1/namespaces/default/pods"
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
CRASHING = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "False"}],
    "containerStatuses": [
        {
            "name": "main",
            "ready": False,
            "restartCount": 4,
            "image": "main:1",
            "imageID": "",
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
            "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
        }
    ],
}


@contextlib.contextmanager
def kubelet(cluster: Cluster, app: str, status: dict[str, Any]) -> Iterator[None]:
    """Give every pod of an application this status, as long as the context lasts."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.3):
            for pod in cluster.get(f"{PODS}?labelSelector=app%3D{app}")["items"]:
                with contextlib.suppress(AssertionError):
                    path = f"{PODS}/{pod['metadata']['name']}/status"
                    cluster.request("PATCH", path, {"status": status}, MERGE)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def workload(options: Options, kind: str, image: str = "main:1", seconds: int = 60) -> Program:
    """A program with one workload that is given some seconds to get ready."""
    pods: dict[str, Any] = {
        "metadata": {"labels": {"app": kind.lower()}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }
    chosen = {"selector": {"match_labels": {"app": kind.lower()}}, "template": pods}
    once = {**pods, "spec": {**pods["spec"], "restart_policy": "Never"}}
    replicas = ("ready_replicas", "updated_replicas")
    specs: dict[str, Any] = {
        "Deployment": (k8s.apps.v1.Deployment, chosen, replicas),
        "StatefulSet": (k8s.apps.v1.StatefulSet, {**chosen, "service_name": "main"}, replicas),
        "Job": (k8s.batch.v1.Job, {"backoff_limit": 0, "template": once}, ("succeeded",)),
    }
    make, spec, counts = specs[kind]

    def program() -> None:
        annotations = {"pulumi.com/timeoutSeconds": str(seconds)}
        metadata = {"name": kind.lower(), "namespace": "default", "annotations": annotations}
        made = make(kind.lower(), metadata=metadata, spec=spec, opts=options())
        for count in counts:
            pulumi.export(count, made.status[count])

    return program


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_workload_is_waited_for(stack: Stack, options: Options, cluster: Cluster, kind: str) -> None:
    with kubelet(cluster, kind.lower(), READY):
        made = stack.up(workload(options, kind))
        assert made.outputs["ready_replicas"].value == 1
        changed = stack.up(workload(options, kind, image="main:2"))
        assert changed.outputs["updated_replicas"].value == 1
        assert (changed.summary.resource_changes or {})[auto.OpType.UPDATE] == 1


def test_job_is_waited_for(stack: Stack, options: Options, cluster: Cluster) -> None:
    with kubelet(cluster, "job", {"phase": "Succeeded"}):
        assert stack.up(workload(options, "Job")).outputs["succeeded"].value == 1


def test_failure_is_explained_and_the_next_update_goes_on(stack: Stack, options: Options, cluster: Cluster) -> None:
    program = workload(options, "Deployment", seconds=6)
    with kubelet(cluster, "deployment", CRASHING), pytest.raises(auto.CommandError) as raised:
        stack.up(program)
    text = str(raised.value)
    for reason in ("is not ready after 6 s", "CrashLoopBackOff", "back-off 40s", "exit code 3"):
        assert reason in text
    path = "/apis/apps/v1/namespaces/default/deployments/deployment"
    uid = cluster.get(path)["metadata"]["uid"]
    with kubelet(cluster, "deployment", READY):
        mended = stack.up(program)
    assert (mended.summary.resource_changes or {})[auto.OpType.UPDATE] == 1
    assert cluster.get(path)["metadata"]["uid"] == uid
    assert set(stack.up(program).summary.resource_changes or {}) == {"same"}


def test_failed_job_ends_the_wait(stack: Stack, options: Options, cluster: Cluster) -> None:
    started = time.monotonic()
    failing = kubelet(cluster, "job", {"phase": "Failed", "reason": "OutOfMemory"})
    with failing, pytest.raises(auto.CommandError, match="BackoffLimitExceeded"):
        stack.up(workload(options, "Job", seconds=300))
    assert time.monotonic() - started < 100


def test_wait_can_be_left_out(stack: Stack, options: Options) -> None:
    def program() -> None:
        k8s.core.v1.PersistentVolumeClaim(
            "claim",
            metadata={"name": "claim", "namespace": "default", "annotations": {"pulumi.com/skipAwait": "true"}},
            spec={"access_modes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}},
            opts=options(),
        )

    stack.up(program)
    assert set(stack.up(program).summary.resource_changes or {}) == {"same"}
    assert set(stack.refresh().summary.resource_changes or {}) == {"same"}


def test_delete_tells_what_holds_the_object(stack: Stack, options: Options, cluster: Cluster) -> None:
    def program() -> None:
        opts = options(custom_timeouts=pulumi.CustomTimeouts(delete="3s"))
        metadata = {"name": "held", "namespace": "default", "finalizers": ["test.example/hold"]}
        k8s.core.v1.ConfigMap("held", metadata=metadata, data={}, opts=opts)

    stack.up(program)
    with pytest.raises(auto.CommandError, match=r"not gone after 3 s; held by finalizers test\.example/hold"):
        stack.destroy()
    cluster.merge("/api/v1/namespaces/default/configmaps/held", {"metadata": {"finalizers": None}})
    stack.destroy()


def test_cluster_that_is_gone_does_not_hold_up_destroy(stack: Stack, cluster: Cluster) -> None:
    stack.up(_lost(cluster.kubeconfig))
    _lead_to(stack, str(cluster.port), "1")
    text = stack.destroy().stdout
    assert "dropped from the state without being deleted" in text


def test_cluster_that_was_away_during_refresh_gets_its_objects_applied_again(stack: Stack, cluster: Cluster) -> None:
    program = _lost(cluster.kubeconfig)
    stack.up(program)
    _lead_to(stack, str(cluster.port), "1")
    assert "is dropped from the state: the API server" in stack.refresh().stdout
    _lead_to(stack, "1", str(cluster.port))
    assert stack.up(program).summary.resource_changes == {"same": 2, "create": 1}
    stack.destroy()


def _lost(content: str) -> Program:
    def program() -> None:
        provider = k8s.Provider("gone", kubeconfig=content, delete_unreachable=True, cluster_identifier="one")
        opts = pulumi.ResourceOptions(provider=provider)
        k8s.core.v1.ConfigMap("lost", metadata={"name": "lost", "namespace": "default"}, data={}, opts=opts)

    return program


def _lead_to(stack: Stack, port: str, other: str) -> None:
    """Let the provider in the state reach the API server at another port."""
    state = stack.stack.export_stack()
    assert state.deployment is not None
    for resource in state.deployment["resources"]:
        if resource["type"] == "pulumi:providers:kubernetes":
            for part in ("inputs", "outputs"):
                text = resource[part]["kubeconfig"]["plaintext"]
                assert f":{port}" in text
                resource[part]["kubeconfig"]["plaintext"] = text.replace(f":{port}", f":{other}")
    stack.stack.import_stack(state)
