"""Which check belongs to which kind."""

from refsys.infra.plugins.kubernetes.objects import Kind
from refsys.infra.plugins.kubernetes.readiness import cluster, workloads
from refsys.infra.plugins.kubernetes.readiness.state import Check

_CHECKS: dict[tuple[str, str], tuple[Check, float]] = {
    ("", "Namespace"): (cluster.namespace, 60),
    ("", "PersistentVolumeClaim"): (cluster.persistent_volume_claim, 300),
    ("", "Pod"): (workloads.pod, 300),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): (cluster.custom_resource_definition, 120),
    ("apps", "DaemonSet"): (workloads.daemon_set, 600),
    ("apps", "Deployment"): (workloads.deployment, 600),
    ("apps", "StatefulSet"): (workloads.stateful_set, 600),
    ("batch", "Job"): (workloads.job, 600),
}


def check_for(kind: Kind) -> tuple[Check, float] | None:
    """Return the check of a kind and its default time limit in seconds; `None` for what is ready at once."""
    return _CHECKS.get((kind.group, kind.name))
