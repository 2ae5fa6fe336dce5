"""Admission policies and operators' roles in a real API server: they compile, refuse what they must, and no more."""

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s
import pytest
from tests.plugin.api_server import Cluster
from tests.plugin.engine import Program, Stack

from refsys.platform.components import Context
from refsys.security.components import Admission, AdmissionArgs, OperatorRoles
from refsys.security.components.policies import POLICIES

Change = Callable[[dict[str, Any]], object]
REGISTRY = "registry.example.org:5000/refsys"
DIGEST, OTHER = "a" * 64, "b" * 64
IMAGE = f"{REGISTRY}/services@sha256:{DIGEST}"
SYSTEM_IMAGE = f"{REGISTRY}/kube-proxy:v1.35.4"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe", "labels": {"app": "probe"}},
    "spec": {"automountServiceAccountToken": False, "containers": [{"name": "probe", "image": IMAGE}]},
}


def program(cluster: Cluster, signed: dict[str, str]) -> Program:
    """The component as an environment has it."""

    def run() -> None:
        provider = k8s.Provider("cluster", kubeconfig=cluster.kubeconfig)
        unused = cast("Any", None)
        context = Context(provider, "example.org", {}, unused, unused, None)
        admission = Admission("admission", AdmissionArgs(context, REGISTRY, signed))
        OperatorRoles("roles", context, pulumi.ResourceOptions(depends_on=[admission]))

    return run


def refusal(cluster: Cluster, pod: dict[str, Any], namespace: str = "default") -> str:
    """Say why a pod would be refused; nothing where it would not."""
    try:
        cluster.request("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    except AssertionError as error:
        assert ": 403 " in str(error), error
        return str(error)
    return ""


def changed(change: Change, *, image: str = IMAGE) -> dict[str, Any]:
    pod = copy.deepcopy(POD)
    pod["spec"]["containers"][0]["image"] = image  # type: ignore[index]
    change(pod)
    return pod


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "not within 30 s"
        time.sleep(0.2)


def of_spec(**fields: Any) -> Change:
    return lambda pod: pod["spec"].update(fields)


def of_container(**fields: Any) -> Change:
    return lambda pod: pod["spec"]["containers"][0].update(fields)


def test_policies_compile_refuse_and_let_go(stack: Stack, cluster: Cluster) -> None:
    stack.up(program(cluster, {DIGEST: f"{REGISTRY}/services"}))
    until(lambda: refusal(cluster, changed(of_container(image="docker.io/library/nginx:1"))))
    policies_have_no_warning(cluster)
    refused_are(cluster)
    taken_are(cluster)
    a_pod_of_yesterday_can_be_ended(stack, cluster)
    rights_are_least(cluster)


def policies_have_no_warning(cluster: Cluster) -> None:
    """The controller checks the types of all expressions after an object of the policy was made."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    for policy in POLICIES:
        made = f"{path}/{policy.name}"
        until(partial(_has_types_checked, cluster, made))
        assert cluster.get(made)["status"]["typeChecking"] == {}, policy.name


def _has_types_checked(cluster: Cluster, made: str) -> bool:
    return "typeChecking" in cluster.get(made).get("status", {})


def token(**fields: str) -> dict[str, Any]:
    """A volume with a token of the pod's account."""
    return {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token", **fields}}]}}


def carrying(volume: dict[str, Any], account: str = "default") -> Change:
    return of_spec(serviceAccountName=account, volumes=[volume])


def refused_are(cluster: Cluster) -> None:
    second = [{"name": "second", "image": "docker.io/library/nginx@sha256:" + OTHER}]
    for change, reason in (
        (of_container(image=f"docker.io/library/nginx@sha256:{DIGEST}"), f"images come from {REGISTRY}/ alone"),
        (of_container(image=f"{REGISTRY}/services:latest"), "a tag may be anything"),
        (of_container(image=f"{REGISTRY}/services"), "a tag may be anything"),
        (of_container(image=f"{REGISTRY}/services@sha256:{OTHER}"), "is not among the signed images"),
        (of_container(image=f"{REGISTRY}/kafka@sha256:{DIGEST}"), "is not among the signed images"),
        (of_spec(initContainers=second), "images come from"),
        (of_spec(volumes=[{"name": "host", "hostPath": {"path": "/etc"}}]), "/etc: no folder of a node"),
        (of_spec(hostNetwork=True), "hostNetwork, hostPID and hostIPC"),
        (of_spec(hostPID=True), "hostNetwork, hostPID and hostIPC"),
        (of_spec(hostIPC=True), "hostNetwork, hostPID and hostIPC"),
        (of_container(securityContext={"privileged": True}), "root on the node"),
        (of_container(ports=[{"containerPort": 80, "hostPort": 80}]), "hostPort"),
        (carrying(token()), "automountServiceAccountToken"),
        (carrying(token(audience="https://kubernetes.default.svc")), "automountServiceAccountToken"),
        (carrying(token(), account="openbao"), "automountServiceAccountToken"),
    ):
        assert reason in refusal(cluster, changed(change)), reason
    proxy = of_spec(hostNetwork=True)
    for image, reason in (
        ("docker.io/kube-proxy:v1", "images come from"),
        (f"{REGISTRY}/kube-proxy:latest", "name a version"),
        (f"{REGISTRY}/kube-proxy", "name a version"),
    ):
        assert reason in refusal(cluster, changed(lambda _: None, image=image), "kube-system"), reason
    assert "hostNetwork" in refusal(cluster, changed(proxy, image=SYSTEM_IMAGE), "kube-system")


def taken_are(cluster: Cluster) -> None:
    def like_a_proxy(pod: dict[str, Any]) -> None:
        pod["metadata"]["labels"] = {"k8s-app": "kube-proxy"}
        of_spec(hostNetwork=True, volumes=[{"name": "modules", "hostPath": {"path": "/lib/modules"}}])(pod)
        of_container(securityContext={"privileged": True})(pod)

    assert not refusal(cluster, changed(lambda _: None))
    assert not refusal(cluster, changed(lambda pod: pod["metadata"].pop("labels")))
    assert not refusal(cluster, changed(like_a_proxy, image=SYSTEM_IMAGE), "kube-system")
    assert "/lib/modules: no folder of a node" in refusal(cluster, changed(like_a_proxy))
    assert not refusal(cluster, changed(carrying(token(audience="openbao"))))
    if cluster.get("/api/v1/namespaces/security") is None:
        cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": "security"}})
    assert not refusal(cluster, changed(carrying(token(), account="openbao")), "security")
    assert refusal(cluster, changed(carrying(token())), "security")


def a_pod_of_yesterday_can_be_ended(stack: Stack, cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/pods"
    cluster.request("POST", path, POD)
    stack.up(program(cluster, {OTHER: f"{REGISTRY}/services"}))
    until(lambda: "is not among the signed" in refusal(cluster, changed(lambda pod: pod["metadata"].update(name="n"))))
    cluster.merge(f"{path}/probe", {"metadata": {"labels": {"app": "changed"}}})
    foreign = [{"op": "replace", "path": "/spec/containers/0/image", "value": "docker.io/library/nginx:1"}]
    with pytest.raises(AssertionError, match="images come from"):
        cluster.request("PATCH", f"{path}/probe", foreign, "application/json-patch+json")
    cluster.request("DELETE", f"{path}/probe")


def may(cluster: Cluster, group: str, verb: str, resource: str, api_group: str = "") -> bool:
    name, _, part = resource.partition("/")
    attributes = {"verb": verb, "group": api_group, "resource": name, "subresource": part, "namespace": "default"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "somebody", "groups": [group], "resourceAttributes": attributes},
    }
    answer = cluster.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def rights_are_least(cluster: Cluster) -> None:
    viewer, operator, admin = "refsys:viewer", "refsys:operator", "refsys:admin"
    rbac = "rbac.authorization.k8s.io"
    until(lambda: may(cluster, admin, "patch", "deployments", "apps"))
    for group in (viewer, operator, admin):
        assert may(cluster, group, "list", "pods") and may(cluster, group, "get", "pods/log")
        assert may(cluster, group, "get", "networkpolicies", "networking.k8s.io")
        for verb, resource, api_group in (
            ("get", "secrets", ""),
            ("list", "secrets", ""),
            ("impersonate", "users", ""),
            ("create", "clusterrolebindings", rbac),
            ("escalate", "clusterroles", rbac),
            ("get", "nodes/proxy", ""),
            ("create", "serviceaccounts/token", ""),
            ("update", "certificatesigningrequests/approval", "certificates.k8s.io"),
            ("delete", "validatingadmissionpolicies", "admissionregistration.k8s.io"),
            ("create", "persistentvolumes", ""),
            ("patch", "namespaces", ""),
        ):
            assert not may(cluster, group, verb, resource, api_group), (group, verb, resource)
    for verb, resource, api_group, groups in (
        ("delete", "pods", "", {operator, admin}),
        ("create", "pods/eviction", "", {operator, admin}),
        ("patch", "deployments/scale", "apps", {operator, admin}),
        ("patch", "nodes", "", {operator, admin}),
        ("create", "pods", "", {admin}),
        ("create", "pods/exec", "", {admin}),
        ("patch", "deployments", "apps", {admin}),
    ):
        allowed = {group for group in (viewer, operator, admin) if may(cluster, group, verb, resource, api_group)}
        assert allowed == groups, (verb, resource)
    assert not may(cluster, "system:authenticated", "list", "pods")
