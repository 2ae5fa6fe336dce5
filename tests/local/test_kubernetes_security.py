"""Attacks on a running environment, and the benchmark's checks on it."""

import copy
import json
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from kubernetes import client

from refsys.security.compliance.kubernetes import examine
from tests.local.conftest import Environment
from tests.local.probes import Probes, image, pod

pytestmark = pytest.mark.timeout(900)

NAMESPACE = "processing"
CALL = """
import json, os, pathlib, ssl, urllib.error, urllib.request

def status(path, token=None):
    address = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}{path}"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    # Whom it talks to does not matter here, what it is told does.
    context = ssl._create_unverified_context()
    try:
        return urllib.request.urlopen(request, context=context, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code

own = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
token = json.loads(os.environ["PLAN"])
open(os.environ["RESULT"], "w").write(json.dumps({
    "has a token": own.exists(),
    "without": status("/api/v1/secrets"),
    "with": status("/api/v1/secrets", token),
    "creates": status("/api/v1/namespaces/processing/pods", token),
}))
"""
Change = Callable[[dict[str, Any]], object]


def _of_pod(**fields: Any) -> Change:
    return lambda spec: spec.update(fields)


def _of_container(**fields: Any) -> Change:
    return lambda spec: spec["containers"][0].update(fields)


def _privileged(spec: dict[str, Any]) -> None:
    spec["containers"][0]["securityContext"] = {"privileged": True}


def _refusal(cluster: client.ApiClient, manifest: dict[str, Any], namespace: str) -> str:
    try:
        client.CoreV1Api(cluster).create_namespaced_pod(namespace, manifest, dry_run="All")
    except client.ApiException as error:
        assert error.status == 403, error
        return str(json.loads(error.body)["message"])
    return ""


def test_a_right_pod_is_taken(cluster: client.ApiClient) -> None:
    assert _refusal(cluster, pod("right", image(cluster)), NAMESPACE) == ""


@pytest.mark.parametrize("namespace", [NAMESPACE, "default", "kube-public"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_privileged, "privileged"),
        (_of_pod(hostNetwork=True), "host"),
        (_of_pod(hostPID=True), "host"),
        (_of_pod(volumes=[{"name": "host", "hostPath": {"path": "/"}}]), "hostPath|no folder of a node"),
        (_of_pod(automountServiceAccountToken=True), "token of the API server"),
        (_of_container(image="docker.io/library/alpine@sha256:" + "0" * 64), "images come from"),
    ],
    ids=["privileged", "host-network", "host-pid", "host-path", "token", "foreign-registry"],
)
def test_a_wrong_pod_is_refused(cluster: client.ApiClient, namespace: str, change: Change, reason: str) -> None:
    manifest = copy.deepcopy(pod("wrong", image(cluster)))
    change(manifest["spec"])
    refused = _refusal(cluster, manifest, namespace)
    assert any(word in refused for word in reason.split("|")), refused


def test_an_image_by_tag_or_without_signature_is_refused(cluster: client.ApiClient) -> None:
    name, _, _ = image(cluster).partition("@")
    for wrong, reason in (
        (f"{name}:latest", "a tag may be anything"),
        (f"{name}:0.1.0", "a tag may be anything"),
        (f"{name}@sha256:{'0' * 64}", "not among the signed images"),
    ):
        assert reason in _refusal(cluster, pod("wrong", wrong), NAMESPACE)


def test_a_pod_gets_no_token_and_its_accounts_token_opens_nothing(cluster: client.ApiClient) -> None:
    core = client.CoreV1Api(cluster)
    request = {"spec": {"audiences": [], "expirationSeconds": 600}}
    token = core.create_namespaced_service_account_token("prip", NAMESPACE, request).status.token
    with Probes(cluster) as probes:
        # A namespace without network policies: of those of the environment nothing reaches the API server at all.
        namespace = probes.namespace("access-open")
        probes.start(namespace, pod("caller", image(cluster), CALL, plan=token))
        (told,) = probes.results().values()
    assert told == {"has a token": False, "without": 401, "with": 403, "creates": 403}


def test_nobody_without_credentials_gets_in(cluster: client.ApiClient, environment: Environment) -> None:
    server = cluster.configuration.host
    context = ssl.create_default_context(cafile=cluster.configuration.ssl_ca_cert)
    with httpx.Client(verify=context, timeout=10) as outside:
        for path in ("/api", "/version", "/api/v1/secrets", "/metrics", "/apis"):
            assert outside.get(f"{server}{path}").status_code == httpx.codes.UNAUTHORIZED, path
        assert outside.get(f"{server}/livez").status_code == httpx.codes.OK
        for node in client.CoreV1Api(cluster).list_node().items:
            address = next(one.address for one in node.status.addresses if one.type == "InternalIP")
            # The certificate is one of the cluster's authority, or this would fail before the answer.
            answer = outside.get(f"https://{address}:10250/pods")
            assert answer.status_code == httpx.codes.UNAUTHORIZED, node.metadata.name


def test_logs_are_read_through_the_kubelets_signed_certificate(cluster: client.ApiClient) -> None:
    core = client.CoreV1Api(cluster)
    (one,) = core.list_namespaced_pod("networking", label_selector="app.kubernetes.io/name=gateway").items
    core.read_namespaced_pod_log(one.metadata.name, "networking", tail_lines=1)


def test_operators_may_what_their_group_may(cluster: client.ApiClient) -> None:
    reviews = client.AuthorizationV1Api(cluster)

    def may(group: str, verb: str, resource: str) -> bool:
        attributes = {"verb": verb, "resource": resource, "namespace": NAMESPACE}
        review = {"spec": {"user": "somebody", "groups": [group], "resourceAttributes": attributes}}
        return bool(reviews.create_subject_access_review(review).status.allowed)

    for group in ("refsys:viewer", "refsys:operator", "refsys:admin"):
        assert may(group, "list", "pods")
        assert not may(group, "get", "secrets")
    assert not may("refsys:viewer", "delete", "pods")
    assert may("refsys:operator", "delete", "pods")
    assert not may("refsys:operator", "create", "pods")
    assert not may("system:authenticated", "list", "pods")


def test_no_check_of_the_benchmark_fails_beside_those_waived(
    environment: Environment, cluster: client.ApiClient
) -> None:
    report = examine(environment.name)
    assert [(result.id, result.seen) for result in report.failed] == []
    assert report.counts["pass"] > 110, report.counts
