"""Prometheus: asks everything for its metrics, keeps them for two days, and raises alerts by rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pulumi
import yaml
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac import v1 as rbac

from refsys.monitoring.components.blackbox_config import Target
from refsys.monitoring.components.metrics_history import bucket_mount, uploader
from refsys.monitoring.components.prices import Prices
from refsys.monitoring.components.prometheus_config import (
    CONFIG_DIRECTORY,
    CONFIG_FILE,
    DATA_DIRECTORY,
    GUARDED,
    RULES_DIRECTORY,
    SCRAPE_INTERVAL,
    SERVER_PORT,
    prometheus_config,
    rules,
)
from refsys.monitoring.components.scraping import DISCOVERY_DIRECTORY
from refsys.monitoring.components.thanos_config import prometheus_arguments
from refsys.platform.components import Context, Platform
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import Files, config_files
from refsys.platform.components.envoy import front
from refsys.platform.components.names import (
    PROMETHEUS,
    PROMETHEUS_CHECK,
    PROMETHEUS_PORT,
    THANOS_GRPC_PORT,
    THANOS_METRICS_PORT,
    App,
)
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Metrics,
    Mount,
    Pod,
    Resources,
    Sidecar,
    claim_mount,
    config_mount,
    scratch_mount,
)
from refsys.platform.components.secrets import API_TOKEN_DIRECTORY, api_token_mount
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import job, service, stateful_set

RETENTION = timedelta(days=2)
ROLE = "refsys:prometheus"
SCRIPT = "discovery.py"
SCRIPT_DIRECTORY = "/etc/refsys/discovery"
START_SECONDS = 300  # after a crash it reads its journal first
MEMORY_GOAL = "200MiB"


@dataclass(frozen=True)
class PrometheusArgs:
    """Arguments of `Prometheus`."""

    context: Context
    platform: Platform
    size: str = "5Gi"
    interval: timedelta = SCRAPE_INTERVAL
    retention: timedelta = RETENTION
    probed: Sequence[Target] = ()
    prices: Prices = field(default_factory=Prices)
    history: Files | None = None
    """The bucket that its blocks are uploaded to; without, there is nothing older than `retention`."""


class Prometheus(Component):
    """Prometheus at `https://prometheus.monitoring.svc:9090`."""

    def __init__(self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Let promtool check the configuration, then make rights, certificate, volume and StatefulSet."""
        super().__init__("Prometheus", name, args.context, opts, package="monitoring")
        self._after = [*self._after, *args.platform.namespaces.ready]
        context = args.context
        config = {
            CONFIG_FILE: yaml.safe_dump(prometheus_config(context.domain, args.interval, args.probed), sort_keys=False)
        }
        known = rules(args.prices)
        checked = self._check(context, config, known)
        # They become the running server's, at the latest when its pod starts again.
        mounts, files = _configuration(PROMETHEUS, config, known, self.child(checked))
        text = Path(__file__).with_name(SCRIPT).read_text(encoding="utf-8")
        script = config_files(PROMETHEUS, "prometheus-discovery", {SCRIPT: text}, self.child())
        envoy = front(context, GUARDED, self, start_seconds=START_SECONDS)
        volume = Volume(PROMETHEUS.label, VolumeArgs(context, PROMETHEUS, args.size), self.child())
        ports = {"https": PROMETHEUS_PORT} | ({"grpc": THANOS_GRPC_PORT} if args.history else {})
        service(PROMETHEUS, ports, self.child(), headless=True)
        may_discover = self._may_discover()
        pod = Pod(
            PROMETHEUS,
            image=context.image("prometheus"),
            user=UNPRIVILEGED_USER,
            args=(
                f"--config.file={CONFIG_DIRECTORY}/{CONFIG_FILE}",
                f"--storage.tsdb.path={DATA_DIRECTORY}",
                f"--storage.tsdb.retention.time={int(args.retention.total_seconds())}s",
                f"--web.listen-address=127.0.0.1:{SERVER_PORT}",
                f"--web.external-url=https://{PROMETHEUS.host}:{PROMETHEUS_PORT}",
                # One question must not take the memory of all.
                "--query.max-samples=5000000",
                "--query.max-concurrency=4",
                "--query.timeout=30s",
                "--log.format=json",
            ),
            env={"GOMEMLIMIT": MEMORY_GOAL},
            mounts=(
                *mounts,
                config_mount("script", SCRIPT_DIRECTORY, script),
                api_token_mount(),
                scratch_mount("discovery", DISCOVERY_DIRECTORY, "8Mi", memory=True),
                claim_mount("data", DATA_DIRECTORY, volume.claim),
                *envoy.mounts,
            ),
            files=(*files, script, *envoy.files),
            metrics=envoy.metrics,
            probes=envoy.probes,
            resources=Resources(cpu="50m", memory="160Mi", memory_limit="384Mi"),
            sidecars=[envoy.sidecar, self._discovery(context)],
            grace_seconds=60,
        )
        if args.history:
            pod = _with_history(context, pod, args.history)
        self.ready = stateful_set(pod, self.child(checked, may_discover))
        self.url = f"https://{PROMETHEUS.host}:{PROMETHEUS_PORT}"
        self.register_outputs({"url": self.url})

    def _check(self, context: Context, config: Mapping[str, str], known: Mapping[str, str]) -> pulumi.Resource:
        """Let promtool read copies: where it finds a mistake, the running server keeps what it has."""
        mounts, files = _configuration(PROMETHEUS_CHECK, config, known, self.child())
        checks = [f"promtool check config --syntax-only {CONFIG_DIRECTORY}/{CONFIG_FILE}"]
        checks += [f"promtool check rules {RULES_DIRECTORY}/{file}" for file in known]
        pod = Pod(
            PROMETHEUS_CHECK,
            image=context.image("prometheus"),
            user=UNPRIVILEGED_USER,
            command=("sh", "-ec", "\n".join(checks)),
            mounts=mounts,
            files=files,
            resources=Resources(cpu="10m", memory="32Mi", memory_limit="128Mi"),
        )
        return job(pod, self.child())

    def _discovery(self, context: Context) -> Sidecar:
        """Return what asks the API server, and writes down what there is."""
        return Sidecar(
            "discovery",
            {
                "DISCOVERY_URL": "https://kubernetes.default.svc",
                "DISCOVERY_TOKEN_FOLDER": API_TOKEN_DIRECTORY,
                "DISCOVERY_FOLDER": DISCOVERY_DIRECTORY,
            },
            Resources(cpu="5m", memory="32Mi", memory_limit="128Mi"),
            command=["python3", f"{SCRIPT_DIRECTORY}/{SCRIPT}"],
            image=context.image("services"),
        )

    def _may_discover(self) -> pulumi.Resource:
        """Let its pod see pods and nodes, and read the metrics of nodes and API server; nothing else."""
        role = rbac.ClusterRole(
            ROLE,
            metadata=ObjectMetaArgs(name=ROLE),
            rules=[
                rbac.PolicyRuleArgs(api_groups=[""], resources=["nodes", "pods"], verbs=["list"]),
                rbac.PolicyRuleArgs(api_groups=[""], resources=["nodes/metrics"], verbs=["get"]),
                rbac.PolicyRuleArgs(non_resource_urls=["/metrics"], verbs=["get"]),
            ],
            opts=self.child(),
        )
        return rbac.ClusterRoleBinding(
            ROLE,
            metadata=ObjectMetaArgs(name=ROLE),
            role_ref=rbac.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=ROLE),
            subjects=[rbac.SubjectArgs(kind="ServiceAccount", name=PROMETHEUS.name, namespace=PROMETHEUS.namespace)],
            opts=self.child(role),
        )


def _with_history(context: Context, pod: Pod, bucket: Files) -> Pod:
    """Return the pod with what uploads its blocks; of the pod's mounts that sees the data and the certificate."""
    beside = uploader(context, f"http://127.0.0.1:{SERVER_PORT}", DATA_DIRECTORY, "data", "tls")
    return replace(
        pod,
        args=(*pod.args, *prometheus_arguments()),
        mounts=(*pod.mounts, bucket_mount(bucket)),
        files=(*pod.files, bucket),
        metrics=(*pod.metrics, Metrics("metrics-thanos", THANOS_METRICS_PORT)),
        sidecars=[*pod.sidecars, beside],
    )


def _configuration(
    app: App, config: Mapping[str, str], known: Mapping[str, str], opts: pulumi.ResourceOptions
) -> tuple[tuple[Mount, ...], tuple[Files, ...]]:
    """Return the configuration and the rules as `app` mounts them."""
    files = (
        config_files(app, f"{app.name}-config", config, opts),
        config_files(app, f"{app.name}-rules", known, opts),
    )
    mounts = (config_mount("config", CONFIG_DIRECTORY, files[0]), config_mount("rules", RULES_DIRECTORY, files[1]))
    return mounts, files
