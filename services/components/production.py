"""Production jobs: where those of each mission run, how many, who goes first, and the pod that they are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac import v1 as rbac
from pulumi_kubernetes.scheduling import v1 as scheduling

from refsys.platform.components.component import Component
from refsys.platform.components.context import Context
from refsys.platform.components.names import EXECUTION, JOBS, App
from refsys.platform.components.pod import Pod, claim_mount, scratch_mount
from refsys.platform.components.volume import NodeFolder, VolumeArgs
from refsys.services.execution.manifests import (
    INPUTS,
    INPUTS_FOLDER,
    LOWEST_CLASS,
    ORDER_FILE,
    ORDER_FOLDER,
    PRIORITY_CLASSES,
    TASKS,
    TASKS_FOLDER,
    TEMPLATE,
    WORK,
    WORK_FOLDER,
)
from refsys.services.execution.tasks import CONTROL, EVENTS, PROGRAM

__all__ = ["PROCESSORS", "TEMPLATE", "Production", "ProductionArgs", "Quota", "job_pod"]

PROCESSORS = ("level0",)
"""Images of processors that the distribution has."""
PROGRAM_FILE = f"/usr/libexec/refsys/{PROGRAM}"
INPUTS_MEBIBYTES = 20 * 1024
LESS_URGENT_PART = 0.75
# Below zero: a pod that belongs to no class is one of the platform, and never makes room for a job.
_VALUES = (-100, -500, -900)
CLASSES = dict(zip((*(name for _, name in PRIORITY_CLASSES), LOWEST_CLASS), _VALUES, strict=True))
URGENT = PRIORITY_CLASSES[0][1]
RIGHTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("batch", "jobs", ("get", "list", "watch", "create", "patch", "delete")),
    # Made are none: it is asked whether they would be.
    ("", "pods", ("list", "watch", "create")),
    ("", "configmaps", ("create",)),
    ("", "podtemplates", ("get",)),
)
"""What execution may do in the namespaces of jobs, and nowhere else."""


@dataclass(frozen=True)
class Quota:
    """What a mission's jobs may have at a time; those that aren't urgent leave a quarter of it."""

    jobs: int = 4
    cpus: float = 8
    memory_gib: float = 32


@dataclass(frozen=True)
class ProductionArgs:
    """Arguments of `Production`."""

    context: Context
    quotas: Mapping[str, Quota]


class Production(Component):
    """Classes of priority; in each mission's namespace its quotas, execution's rights, and the nodes' inputs."""

    def __init__(self, name: str, args: ProductionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make them; `inputs` are the claims of the folders on nodes, none where nodes are somebody else's."""
        super().__init__("Production", name, args.context, opts, package="services")
        for kind, value in CLASSES.items():
            scheduling.PriorityClass(
                kind,
                metadata=ObjectMetaArgs(name=kind),
                value=value,
                description="Production jobs of the chain",
                preemption_policy="Never" if kind == LOWEST_CLASS else "PreemptLowerPriority",
                opts=self.child(),
            )
        self.inputs: dict[App, pulumi.Output[str]] = {}
        for mission, app in JOBS.items():
            self._quotas(app, args.quotas.get(mission, Quota()))
            self._rights(app)
            if args.context.volume_node is not None:
                size = VolumeArgs(args.context, app, f"{INPUTS_MEBIBYTES}Mi")
                self.inputs[app] = NodeFolder(app.label, size, self.child()).claim
        self.register_outputs({})

    def _quotas(self, app: App, quota: Quota) -> None:
        others = [kind for kind in CLASSES if kind != URGENT]
        for name, part, classes in (
            ("all", 1.0, list(CLASSES)),
            ("less-urgent", LESS_URGENT_PART, others),
        ):
            scope = core.ScopedResourceSelectorRequirementArgs(
                scope_name="PriorityClass", operator="In", values=classes
            )
            core.ResourceQuota(
                f"{app.namespace}-{name}",
                metadata=ObjectMetaArgs(name=name, namespace=app.namespace),
                spec=core.ResourceQuotaSpecArgs(
                    hard={
                        "pods": str(int(quota.jobs * part)),
                        "requests.cpu": f"{quota.cpus * part * 1000:.0f}m",
                        "requests.memory": f"{quota.memory_gib * part * 1024:.0f}Mi",
                    },
                    scope_selector=core.ScopeSelectorArgs(match_expressions=[scope]),
                ),
                opts=self.child(),
            )

    def _rights(self, app: App) -> None:
        name = EXECUTION.name
        role = rbac.Role(
            f"{app.namespace}-{name}",
            metadata=ObjectMetaArgs(name=name, namespace=app.namespace),
            rules=[
                rbac.PolicyRuleArgs(api_groups=[group], resources=[resource], verbs=list(verbs))
                for group, resource, verbs in RIGHTS
            ],
            opts=self.child(),
        )
        rbac.RoleBinding(
            f"{app.namespace}-{name}",
            metadata=ObjectMetaArgs(name=name, namespace=app.namespace),
            role_ref=rbac.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=name),
            subjects=[rbac.SubjectArgs(kind="ServiceAccount", name=name, namespace=EXECUTION.namespace)],
            opts=self.child(role),
        )


def job_pod(pod: Pod, inputs: pulumi.Input[str] | None) -> Pod:
    """Return a job's pod: the runner, which lays out the folder of the tasks as it starts.

    The kubelet starts a pod's containers one after the other, each when the command at the start of the one before has
    ended: the processor finds the folder complete. An init container would do the same, a second and a half later.
    """
    tasks = str(TASKS_FOLDER)
    prepare = f"cp {PROGRAM_FILE} {tasks}/ && mkfifo -m 600 {tasks}/{CONTROL} {tasks}/{EVENTS}"
    env: dict[str, pulumi.Input[str]] = {
        "REFSYS_RUNNER_ORDER_FILE": f"{ORDER_FOLDER}/{ORDER_FILE}",
        "REFSYS_RUNNER_WORK_FOLDER": f"{WORK_FOLDER}/job",
        "REFSYS_RUNNER_TASKS_FOLDER": tasks,
    }
    mounts = [scratch_mount(WORK, str(WORK_FOLDER), "1Gi"), scratch_mount(TASKS, tasks, "16Mi")]
    if inputs is not None:
        env["REFSYS_RUNNER_CACHE_FOLDER"] = str(INPUTS_FOLDER)
        env["REFSYS_RUNNER_CACHE_MEBIBYTES"] = str(INPUTS_MEBIBYTES)
        mounts.append(claim_mount(INPUTS, str(INPUTS_FOLDER), inputs))
    return replace(
        pod,
        args=("job-runner",),
        at_start=("sh", "-ec", prepare),
        env={**pod.env, **env},
        mounts=(*pod.mounts, *mounts),
    )
