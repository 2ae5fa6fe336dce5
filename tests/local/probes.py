"""Short-lived pods that try something inside the cluster and tell what came of it, as the policies allow pods to be."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client

from refsys.platform.components.names import SYSTEM
from refsys.platform.components.pod import UNPRIVILEGED_USER
from refsys.security.components.admission import PARAMETERS

LABEL = "refsys-probe"
SECONDS = 120


def image(api: client.ApiClient, name: str = "services") -> str:
    """Return the signed image called `name` of the environment; that of the services has Python."""
    signed = client.CoreV1Api(api).read_namespaced_config_map(PARAMETERS, SYSTEM).data
    return next(f"{value}@sha256:{key}" for key, value in signed.items() if value.endswith(f"/{name}"))


def pod(name: str, image: str, script: str = "", *, plan: Any = None, labels: Mapping[str, str] | None = None) -> Any:
    """Return a pod that runs `script` with the JSON `PLAN`; what it writes to `RESULT` can be asked for.

    It never gets ready, so that no Service sends anybody to it, whatever labels it has.
    """
    context = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "probe",
        "image": image,
        "command": ["python3", "-c", script],
        "env": [{"name": "PLAN", "value": json.dumps(plan)}, {"name": "RESULT", "value": "/dev/termination-log"}],
        "securityContext": context,
        "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"memory": "96Mi"}},
        "readinessProbe": {"tcpSocket": {"port": 1}, "initialDelaySeconds": 600},
    }
    return {
        "metadata": {"name": f"probe-{name}", "labels": {LABEL: "true", **(labels or {})}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": UNPRIVILEGED_USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


@dataclass
class Probes:
    """Pods that run now; leave the context and they are gone."""

    api: client.ApiClient
    namespaces: set[str] = field(default_factory=set)
    made: set[str] = field(default_factory=set)

    def __enter__(self) -> "Probes":
        self.core = client.CoreV1Api(self.api)
        return self

    def namespace(self, name: str) -> str:
        """Make a namespace without any network policy."""
        self.core.create_namespace({"metadata": {"name": name}})
        self.made.add(name)
        until = time.monotonic() + 30
        while not self.core.list_namespaced_service_account(name).items:
            assert time.monotonic() < until, f"namespace {name} got no service account"
            time.sleep(0.1)
        return name

    def start(self, namespace: str, manifest: Any) -> None:
        """Start a pod."""
        self.namespaces.add(namespace)
        self.core.create_namespaced_pod(namespace, manifest)

    def address(self, namespace: str, name: str) -> str:
        """Wait until a pod runs; return its address."""
        until = time.monotonic() + SECONDS
        while True:
            status = self.core.read_namespaced_pod(f"probe-{name}", namespace).status
            if status.phase == "Running" and status.pod_ip:
                return str(status.pod_ip)
            assert time.monotonic() < until, f"{namespace}/probe-{name} does not run: {status}"
            time.sleep(0.3)

    def wait(self, *, but: str = "", seconds: float = SECONDS) -> list[client.V1Pod]:
        """Wait until all pods have ended, but the one called `but`; return them."""
        until = time.monotonic() + seconds
        while True:
            pods = self.core.list_pod_for_all_namespaces(label_selector=LABEL).items
            left = [one for one in pods if one.status.phase not in ("Succeeded", "Failed")]
            if {one.metadata.name for one in left} <= {f"probe-{but}"}:
                return list(pods)
            assert time.monotonic() < until, [(one.metadata.name, one.status.phase) for one in left]
            time.sleep(0.5)

    def results(self) -> dict[str, Any]:
        """Wait until all pods have ended; return what they told (namespace/name → JSON)."""
        found = {}
        for one in self.wait():
            ended = one.status.container_statuses[0].state.terminated
            name = f"{one.metadata.namespace}/{one.metadata.name.removeprefix('probe-')}"
            assert ended.exit_code == 0, f"{name}: {ended.message}"
            found[name] = json.loads(ended.message)
        return found

    def __exit__(self, *_: object) -> None:
        for namespace in self.namespaces:
            self.core.delete_collection_namespaced_pod(namespace, label_selector=LABEL, grace_period_seconds=0)
        for namespace in self.made:
            self.core.delete_namespace(namespace)
        until = time.monotonic() + SECONDS
        while any(self.core.list_namespace(field_selector=f"metadata.name={name}").items for name in self.made):
            assert time.monotonic() < until, f"namespaces {self.made} do not go"
            time.sleep(0.5)
