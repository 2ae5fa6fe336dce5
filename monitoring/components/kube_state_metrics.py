"""kube-state-metrics: how pods, workloads, jobs, nodes and volume claims are, as the API server says."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac import v1 as rbac

from refsys.platform.components import Context, Platform
from refsys.platform.components.component import Component
from refsys.platform.components.names import KUBE_STATE_METRICS, KUBE_STATE_METRICS_PORT
from refsys.platform.components.pod import UNPRIVILEGED_USER, Metrics, Pod, Resources, http_probes
from refsys.platform.components.secrets import api_token_mount
from refsys.platform.components.workload import deployment

ROLE = "refsys:kube-state-metrics"
OWN_METRICS_PORT = 8082
RESOURCES = {
    "": ("nodes", "persistentvolumeclaims", "pods"),
    "apps": ("daemonsets", "deployments", "statefulsets"),
    "batch": ("cronjobs", "jobs"),
}
"""What is looked at, by API group; the right to list it is all that there is."""
METRICS = (
    "kube_cronjob_(created|spec_suspend|status_.+)",
    "kube_daemonset_status_.+",
    "kube_deployment_(spec_replicas|status_replicas.*)",
    "kube_job_(complete|failed|status_.+)",
    "kube_node_(info|spec_unschedulable|status_(allocatable|capacity|condition))",
    "kube_persistentvolumeclaim_(resource_requests_storage_bytes|status_phase)",
    "kube_pod_(info|owner|status_(phase|ready))$",
    "kube_pod_container_resource_(limits|requests)",
    "kube_pod_(init_)?container_status_(last_terminated_reason|ready|restarts_total|waiting_reason)",
    "kube_statefulset_(replicas|status_replicas.*)",
)
"""Metrics that alerts and dashboards need; each of them is there for every object."""


@dataclass(frozen=True)
class KubeStateMetricsArgs:
    """Arguments of `KubeStateMetrics`."""

    context: Context
    platform: Platform


def arguments(port: int, metrics: Sequence[str] = METRICS) -> tuple[str, ...]:
    """Return the program's arguments."""
    resources = sorted(name for names in RESOURCES.values() for name in names)
    return (
        f"--port={port}",
        f"--telemetry-port={OWN_METRICS_PORT}",
        "--telemetry-host=127.0.0.1",
        f"--resources={','.join(resources)}",
        f"--metric-allowlist={','.join(metrics)}",
        "--use-apiserver-cache",
    )


class KubeStateMetrics(Component):
    """kube-state-metrics, which may list what it tells of and nothing else."""

    def __init__(self, name: str, args: KubeStateMetricsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make its rights and the Deployment."""
        super().__init__("KubeStateMetrics", name, args.context, opts, package="monitoring")
        self._after = [*self._after, *args.platform.namespaces.ready]
        port = KUBE_STATE_METRICS_PORT
        pod = Pod(
            KUBE_STATE_METRICS,
            image=args.context.image("kube-state-metrics"),
            user=UNPRIVILEGED_USER,
            args=arguments(port),
            env={"GOMAXPROCS": "1", "GOMEMLIMIT": "48MiB"},
            mounts=(api_token_mount(),),
            metrics=(Metrics("metrics", port),),
            probes=http_probes(port, ready="/healthz", live="/healthz", start_seconds=60),
            resources=Resources(cpu="5m", memory="48Mi", memory_limit="96Mi"),
        )
        deployment(pod, self.child(self._may_list()))
        self.register_outputs({})

    def _may_list(self) -> pulumi.Resource:
        role = rbac.ClusterRole(
            ROLE,
            metadata=ObjectMetaArgs(name=ROLE),
            rules=[
                rbac.PolicyRuleArgs(api_groups=[group], resources=list(resources), verbs=["list", "watch"])
                for group, resources in RESOURCES.items()
            ],
            opts=self.child(),
        )
        account = rbac.SubjectArgs(
            kind="ServiceAccount", name=KUBE_STATE_METRICS.name, namespace=KUBE_STATE_METRICS.namespace
        )
        return rbac.ClusterRoleBinding(
            ROLE,
            metadata=ObjectMetaArgs(name=ROLE),
            role_ref=rbac.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=ROLE),
            subjects=[account],
            opts=self.child(role),
        )
