"""What operators may do in the cluster, by group; the groups come from the identity provider."""

from collections.abc import Sequence
from dataclasses import dataclass

READ = ("get", "list", "watch")
WRITE = ("create", "update", "patch", "delete")


@dataclass(frozen=True)
class Right:
    """Verbs on resources of one API group."""

    group: str
    resources: Sequence[str]
    verbs: Sequence[str]


@dataclass(frozen=True)
class Access:
    """Rights of a group; name of its ClusterRole and binding too."""

    name: str
    rights: Sequence[Right]


# Neither Secrets nor the inside of a container: who only looks learns nothing that opens something.
_LOOK = (
    Right(
        "",
        (
            "configmaps",
            "endpoints",
            "events",
            "limitranges",
            "namespaces",
            "nodes",
            "persistentvolumeclaims",
            "persistentvolumes",
            "pods",
            "pods/log",
            "pods/status",
            "resourcequotas",
            "serviceaccounts",
            "services",
        ),
        READ,
    ),
    Right("apps", ("controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"), READ),
    Right("batch", ("cronjobs", "jobs"), READ),
    Right("discovery.k8s.io", ("endpointslices",), READ),
    Right("events.k8s.io", ("events",), READ),
    Right("networking.k8s.io", ("networkpolicies",), READ),
    Right("policy", ("poddisruptionbudgets",), READ),
    Right("storage.k8s.io", ("storageclasses", "volumeattachments"), READ),
    Right(
        "admissionregistration.k8s.io",
        ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
        READ,
    ),
    Right("rbac.authorization.k8s.io", ("clusterroles", "clusterrolebindings", "roles", "rolebindings"), READ),
)
# End what hangs, empty a node, run more or fewer: nothing that could bring other content into the cluster.
_OPERATE = (
    Right("", ("pods",), ("delete",)),
    Right("", ("pods/eviction",), ("create",)),
    Right("", ("nodes",), ("patch",)),
    Right("apps", ("deployments/scale", "statefulsets/scale"), ("get", "patch", "update")),
    Right("batch", ("jobs",), ("delete",)),
)
# Change the workloads; not who may do what, what is let in, or which certificates are signed.
_ADMINISTER = (
    Right("", ("configmaps", "persistentvolumeclaims", "pods", "serviceaccounts", "services"), WRITE),
    Right("", ("secrets",), WRITE),
    Right("", ("pods/exec", "pods/attach", "pods/portforward"), ("create", "get")),
    Right("apps", ("daemonsets", "deployments", "statefulsets"), WRITE),
    Right("batch", ("cronjobs", "jobs"), WRITE),
    Right("networking.k8s.io", ("networkpolicies",), WRITE),
    Right("policy", ("poddisruptionbudgets",), WRITE),
)

VIEWER = Access("refsys:viewer", _LOOK)
OPERATOR = Access("refsys:operator", (*_LOOK, *_OPERATE))
ADMIN = Access("refsys:admin", (*_LOOK, *_OPERATE, *_ADMINISTER))
ACCESS = (VIEWER, OPERATOR, ADMIN)
