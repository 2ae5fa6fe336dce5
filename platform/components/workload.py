"""What runs pods: Deployment, StatefulSet, Job, each with its own ServiceAccount; and Services before them."""

from collections.abc import Mapping
from datetime import timedelta

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.batch import v1 as batch
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.policy import v1 as policy

from refsys.platform.components.component import digest
from refsys.platform.components.configuration import labels, metadata
from refsys.platform.components.names import App
from refsys.platform.components.pod import Pod

JOB_ATTEMPTS = 6
JOB_TIME_LIMIT = timedelta(minutes=10)
CRON_ATTEMPTS = 2
CRON_START_LIMIT = timedelta(hours=1)
CRON_TIME_LIMIT = timedelta(hours=12)


def deployment(pod: Pod, opts: pulumi.ResourceOptions, *, replicas: int = 1) -> apps.Deployment:
    """Run `replicas` of `pod`; an update starts the new pod before it ends the old one."""
    account = _service_account(pod.app, opts)
    if replicas > 1:
        _disruption_budget(pod.app, opts)
    return apps.Deployment(
        pod.app.label,
        metadata=metadata(pod.app),
        spec=apps.DeploymentSpecArgs(
            replicas=replicas,
            revision_history_limit=3,
            selector=_selector(pod.app),
            strategy=apps.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
            ),
            template=pod.template(account),
        ),
        opts=opts,
    )


def stateful_set(pod: Pod, opts: pulumi.ResourceOptions) -> apps.StatefulSet:
    """Run `pod` once, with the headless Service of its name before it."""
    account = _service_account(pod.app, opts)
    return apps.StatefulSet(
        pod.app.label,
        metadata=metadata(pod.app),
        spec=apps.StatefulSetSpecArgs(
            replicas=1,
            revision_history_limit=3,
            service_name=pod.app.name,
            selector=_selector(pod.app),
            template=pod.template(account),
        ),
        opts=opts,
    )


def job(pod: Pod, opts: pulumi.ResourceOptions) -> batch.Job:
    """Run `pod` to its end once for each input.

    The name carries the digest of the input: the same input is the same, finished Job, another input makes
    another Job. A Job that failed is made anew by the next `up`.
    """
    account = _service_account(pod.app, opts)
    name = digest(pod.digest()).apply(lambda value: f"{pod.app.name}-{value[:10]}")
    return batch.Job(
        pod.app.label,
        metadata=ObjectMetaArgs(
            name=name,
            namespace=pod.app.namespace,
            labels=labels(pod.app),
            annotations={"pulumi.com/replaceUnready": "true"},
        ),
        spec=batch.JobSpecArgs(
            backoff_limit=JOB_ATTEMPTS,
            active_deadline_seconds=int(JOB_TIME_LIMIT.total_seconds()),
            template=pod.template(account, restart="Never"),
        ),
        opts=opts,
    )


def cron_job(pod: Pod, schedule: str, opts: pulumi.ResourceOptions) -> batch.CronJob:
    """Run `pod` to its end at the times of `schedule` (cron, UTC), never two at once; failed ones are seen."""
    account = _service_account(pod.app, opts)
    return batch.CronJob(
        pod.app.label,
        metadata=metadata(pod.app),
        spec=batch.CronJobSpecArgs(
            schedule=schedule,
            time_zone="Etc/UTC",
            concurrency_policy="Forbid",
            starting_deadline_seconds=int(CRON_START_LIMIT.total_seconds()),
            successful_jobs_history_limit=3,
            failed_jobs_history_limit=3,
            job_template=batch.JobTemplateSpecArgs(
                spec=batch.JobSpecArgs(
                    backoff_limit=CRON_ATTEMPTS,
                    active_deadline_seconds=int(CRON_TIME_LIMIT.total_seconds()),
                    template=pod.template(account, restart="Never"),
                )
            ),
        ),
        opts=opts,
    )


def pod_template(pod: Pod, name: str, opts: pulumi.ResourceOptions) -> core.PodTemplate:
    """Keep `pod` as the PodTemplate `name`, for who makes Jobs of it."""
    account = _service_account(pod.app, opts)
    return core.PodTemplate(
        pod.app.label,
        metadata=metadata(pod.app, name),
        template=pod.template(account, restart="Never"),
        opts=opts,
    )


def service(
    app: App,
    ports: Mapping[str, int],
    opts: pulumi.ResourceOptions,
    *,
    headless: bool = False,
) -> core.Service:
    """Give `app` its name in the cluster, on the ports its container listens on (name → port)."""
    return core.Service(
        app.label,
        metadata=metadata(app),
        spec=core.ServiceSpecArgs(
            type="ClusterIP",
            cluster_ip="None" if headless else None,
            selector={"app.kubernetes.io/name": app.name},
            ports=[
                core.ServicePortArgs(name=name, port=port, target_port=port, protocol="TCP")
                for name, port in ports.items()
            ],
        ),
        opts=opts,
    )


def node_port_service(name: str, app: App, port: int, node_port: int, opts: pulumi.ResourceOptions) -> core.Service:
    """Let what runs on nodes reach `app` at `node_port` of the node that it runs on, by a Service called `name`.

    Nodes keep their address on the way, so that the network policy can tell them from others.
    """
    return core.Service(
        f"{app.namespace}-{name}",
        metadata=metadata(app, name),
        spec=core.ServiceSpecArgs(
            type="NodePort",
            external_traffic_policy="Local",
            selector={"app.kubernetes.io/name": app.name},
            ports=[
                core.ServicePortArgs(name="nodes", port=port, target_port=port, node_port=node_port, protocol="TCP")
            ],
        ),
        opts=opts,
    )


def _service_account(app: App, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    account = core.ServiceAccount(app.label, metadata=metadata(app), automount_service_account_token=False, opts=opts)
    name: pulumi.Output[str] = account.metadata.name
    return name


def _disruption_budget(app: App, opts: pulumi.ResourceOptions) -> None:
    policy.PodDisruptionBudget(
        app.label,
        metadata=metadata(app),
        spec=policy.PodDisruptionBudgetSpecArgs(max_unavailable=1, selector=_selector(app)),
        opts=opts,
    )


def _selector(app: App) -> LabelSelectorArgs:
    return LabelSelectorArgs(match_labels={"app.kubernetes.io/name": app.name})
