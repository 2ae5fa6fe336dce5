"""What pods may be: those that run, and those that would be refused."""

import copy
from collections.abc import Callable, Iterator, Mapping

from refsys.platform.components.names import API_CLIENTS, PROCESSING, SECRETS_AUDIENCE, SYSTEM
from refsys.platform.components.pod import UNPRIVILEGED_USER
from refsys.security.compliance.kubernetes.checks import ClusterCheck
from refsys.security.compliance.kubernetes.live import ADMISSION, Cluster, Json, name_of
from refsys.security.compliance.kubernetes.report import Seen, judged
from refsys.security.components.admission import PARAMETERS
from refsys.security.components.policies import POLICIES, REGISTRY_KEY

NO_IMAGE = "0" * 64


def right_pod(cluster: Cluster) -> Json:
    """Return a pod that every policy lets in, of an image that may run."""
    signed = cluster.get(f"/api/v1/namespaces/{SYSTEM}/configmaps/{PARAMETERS}")["data"]
    digest, repository = next((key, value) for key, value in sorted(signed.items()) if key != REGISTRY_KEY)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "compliance-probe"},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": UNPRIVILEGED_USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": f"{repository}@sha256:{digest}",
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }


def _of_pod(**fields: object) -> Callable[[Json], None]:
    return lambda pod: pod["spec"].update(fields)


def _of_container(**fields: object) -> Callable[[Json], None]:
    return lambda pod: pod["spec"]["containers"][0].update(fields)


def _of_context(**fields: object) -> Callable[[Json], None]:
    return lambda pod: pod["spec"]["containers"][0]["securityContext"].update(fields)


def _host_process(pod: Json) -> None:
    _of_pod(hostNetwork=True)(pod)
    _of_context(windowsOptions={"hostProcess": True})(pod)


def _unsigned(pod: Json) -> None:
    image = pod["spec"]["containers"][0]["image"]
    _of_container(image=f"{image.partition('@')[0]}@sha256:{NO_IMAGE}")(pod)


FLAWS: Mapping[str, Callable[[Json], None]] = {
    "privileged": _of_context(privileged=True, allowPrivilegeEscalation=True),
    "host_pid": _of_pod(hostPID=True),
    "host_ipc": _of_pod(hostIPC=True),
    "host_network": _of_pod(hostNetwork=True),
    "escalation": _of_context(allowPrivilegeEscalation=True),
    "root": _of_context(runAsNonRoot=False, runAsUser=0),
    "net_raw": _of_context(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]}),
    "capabilities": _of_context(capabilities={}),
    "host_process": _host_process,
    "host_path": _of_pod(volumes=[{"name": "host", "hostPath": {"path": "/etc"}}]),
    "host_port": _of_container(ports=[{"containerPort": 8080, "hostPort": 8080}]),
    "unsigned": _unsigned,
}
"""What is wrong with a pod that is right otherwise."""


def refused(cluster: Cluster, check: ClusterCheck) -> Seen:
    """Judge whether a pod with one flaw is refused wherever workloads run."""
    expected = f"refused in every namespace but {SYSTEM}"
    pod = right_pod(cluster)
    if wrong := cluster.refusal(PROCESSING, pod):
        return judged(False, f"even a pod without flaw is refused: {wrong}", expected)
    flawed = copy.deepcopy(pod)
    FLAWS[check.flaw](flawed)
    answers = {name: cluster.refusal(name, flawed) for name in cluster.namespaces() if name != SYSTEM}
    taken = sorted(name for name, answer in answers.items() if not answer)
    return judged(not taken, f"taken in {', '.join(taken)}" if taken else answers[PROCESSING], expected)


def policies(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge whether the admission policies are there and bound."""
    bindings = cluster.items(f"{ADMISSION}/validatingadmissionpolicybindings")
    denying = {item["spec"]["policyName"] for item in bindings if "Deny" in item["spec"]["validationActions"]}
    wanted = {policy.name for policy in POLICIES}
    return judged(wanted <= denying, ", ".join(sorted(denying)) or "none", f"{', '.join(sorted(wanted))} deny")


def tokens(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge which pods carry a token of the API server."""
    clients = {(app.namespace, app.name) for app in API_CLIENTS}
    found = [
        name_of(pod)
        for pod in cluster.pods(but=SYSTEM)
        for volume in pod["spec"].get("volumes", [])
        if any(_opens_api_server(source) for source in volume.get("projected", {}).get("sources", []))
        and (pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName")) not in clients
    ]
    named = ", ".join(app.name for app in API_CLIENTS)
    return judged(not found, ", ".join(found) or "none", f"none outside {SYSTEM} but {named}")


def _opens_api_server(source: Json) -> bool:
    return "serviceAccountToken" in source and source["serviceAccountToken"].get("audience") != SECRETS_AUDIENCE


def seccomp(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge which pods run without a seccomp profile."""
    found = []
    for pod in cluster.pods(but=SYSTEM):
        own = _profile(pod["spec"].get("securityContext"))
        if not all(_profile(container.get("securityContext")) or own for container in _containers(pod)):
            found.append(name_of(pod))
    return judged(not found, ", ".join(found) or "none", f"none outside {SYSTEM} without a profile")


def _profile(context: Json | None) -> bool:
    return ((context or {}).get("seccompProfile") or {}).get("type") in ("RuntimeDefault", "Localhost")


def contexts(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge which pods don't say what they must not do."""
    found = [name_of(pod) for pod in cluster.pods(but=SYSTEM) if not _is_restricted(pod)]
    return judged(
        not found, ", ".join(found) or "none", f"all outside {SYSTEM}: no root, no escalation, read-only root"
    )


def _is_restricted(pod: Json) -> bool:
    contexts = [container.get("securityContext") or {} for container in _containers(pod)]
    return bool((pod["spec"].get("securityContext") or {}).get("runAsNonRoot")) and all(
        context.get("allowPrivilegeEscalation") is False and context.get("readOnlyRootFilesystem")
        for context in contexts
    )


def secret_variables(cluster: Cluster, _: ClusterCheck) -> Seen:
    """Judge which pods take secrets as environment variables."""
    found = sorted(
        {
            name_of(pod)
            for pod in cluster.items("/api/v1/pods")
            for container in _containers(pod)
            if any("secretKeyRef" in entry.get("valueFrom", {}) for entry in container.get("env", []))
            or any("secretRef" in entry for entry in container.get("envFrom", []))
        }
    )
    return judged(not found, ", ".join(found) or "none", "none")


def _containers(pod: Json) -> Iterator[Json]:
    for kind in ("initContainers", "containers"):
        yield from pod["spec"].get(kind, [])
