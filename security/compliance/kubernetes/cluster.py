"""Checks of the cluster itself, by name."""

import base64
from collections.abc import Callable, Mapping

import yaml

from refsys.platform.components.names import SYSTEM
from refsys.security.compliance.kubernetes import access, pods
from refsys.security.compliance.kubernetes.checks import ClusterCheck
from refsys.security.compliance.kubernetes.live import APPS, NETWORKING, Cluster, Json
from refsys.security.compliance.kubernetes.report import Seen, judged

NODE_TOKENS = "system:bootstrappers:kubeadm:default-node-token"
WIREGUARD_KEY = "projectcalico.org/WireguardPublicKey"
OF_EVERY_NAMESPACE = ("kube-root-ca.crt",)


def bootstrap_tokens(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge the tokens that nodes join with."""
    found = cluster.items(f"/api/v1/namespaces/{SYSTEM}/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io/token")
    wrong = [item["metadata"]["name"] for item in found if not _is_for_nodes(item["data"])]
    return judged(not wrong, ", ".join(wrong) or f"{len(found)}, all for nodes and for a time", "for nodes, and end")


def _is_for_nodes(data: Json) -> bool:
    groups = base64.b64decode(data.get("auth-extra-groups", "")).decode()
    return "expiration" in data and groups in ("", NODE_TOKENS)


def proxy_metrics(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge where kube-proxy shows its metrics."""
    data = cluster.get(f"/api/v1/namespaces/{SYSTEM}/configmaps/kube-proxy")["data"]
    address = yaml.safe_load(data["config.conf"]).get("metricsBindAddress") or "127.0.0.1:10249 (default)"
    return judged(address.startswith("127.0.0.1"), address, "127.0.0.1")


def network(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge whether the container network keeps network policies."""
    found = [item["metadata"]["name"] for item in cluster.items(f"{APPS}/namespaces/{SYSTEM}/daemonsets")]
    return judged("calico-node" in found, ", ".join(found), "calico-node")


def closed_namespaces(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge which namespaces deny nothing by default."""
    closed = {
        item["metadata"]["namespace"]
        for item in cluster.items(f"{NETWORKING}/networkpolicies")
        if not item["spec"].get("podSelector")
        and set(item["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not item["spec"].get("ingress")
        and not item["spec"].get("egress")
    }
    found = sorted(set(cluster.namespaces()) - closed)
    return judged(not found, ", ".join(found) or "none is open", "every namespace denies both ways by default")


def secret_store(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge whether secrets come from a store outside the cluster."""
    found = [item["metadata"]["name"] for item in cluster.items("/apis/storage.k8s.io/v1/csidrivers")]
    return judged(any("secrets-store" in name for name in found), ", ".join(found) or "none", "a secrets store driver")


def parted(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge whether the workloads lie in namespaces of their own."""
    found = sorted({pod["metadata"]["namespace"] for pod in cluster.pods(but=SYSTEM)})
    return judged(len(found) > 1 and "default" not in found, ", ".join(found), "several, without default")


def default_namespace(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge what lies in the namespace `default`."""
    kinds = ("pods", "configmaps", "secrets", "persistentvolumeclaims")
    found = [
        f"{kind} {item['metadata']['name']}"
        for kind in kinds
        for item in cluster.items(f"/api/v1/namespaces/default/{kind}")
        if item["metadata"]["name"] not in OF_EVERY_NAMESPACE
    ]
    return judged(not found, ", ".join(found) or "nothing", "nothing")


def encrypted_traffic(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge whether Calico encrypts what nodes send each other for pods."""
    expected = "every node has a WireGuard key"
    calico = cluster.get(f"{APPS}/namespaces/{SYSTEM}/daemonsets/calico-node")
    variables = {entry["name"]: entry.get("value") for entry in _calico(calico).get("env", [])}
    if variables.get("FELIX_WIREGUARDENABLED") != "true":
        return Seen(status="not applicable", seen="the control plane's kernel has no WireGuard", expected=expected)
    nodes = cluster.items("/api/v1/nodes")
    without = [node["metadata"]["name"] for node in nodes if WIREGUARD_KEY not in node["metadata"]["annotations"]]
    return judged(not without, f"without: {', '.join(without) or 'none'}", expected)


def _calico(daemon_set: Json) -> Json:
    containers: list[Json] = daemon_set["spec"]["template"]["spec"]["containers"]
    return containers[0]


FUNCTIONS: Mapping[str, Callable[[Cluster, ClusterCheck], Seen]] = {
    function.__name__: function
    for function in (
        access.administrators,
        access.default_accounts,
        access.granted,
        access.lasting_tokens,
        access.masters,
        access.wildcards,
        bootstrap_tokens,
        closed_namespaces,
        default_namespace,
        encrypted_traffic,
        network,
        parted,
        pods.contexts,
        pods.policies,
        pods.refused,
        pods.seccomp,
        pods.secret_variables,
        pods.tokens,
        proxy_metrics,
        secret_store,
    )
}
