"""Alertmanager: holds alerts, groups them and tells people, reached by mutual TLS alone."""

from dataclasses import dataclass, field

import pulumi
import yaml

from refsys.monitoring.components.alertmanager_config import (
    DATA_DIRECTORY,
    GUARDED,
    SERVER_PORT,
    Alerting,
    alertmanager_config,
)
from refsys.platform.components import Context, Platform
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import secret_files
from refsys.platform.components.envoy import front
from refsys.platform.components.names import ALERTMANAGER, ALERTMANAGER_CHECK, ALERTMANAGER_PORT
from refsys.platform.components.pod import UNPRIVILEGED_USER, Pod, Resources, claim_mount, secret_mount
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import job, service, stateful_set

CONFIG_DIRECTORY = "/etc/refsys/alertmanager"
CONFIG_FILE = "alertmanager.yml"


@dataclass(frozen=True)
class AlertmanagerArgs:
    """Arguments of `Alertmanager`."""

    context: Context
    platform: Platform
    alerting: Alerting = field(default_factory=Alerting)
    size: str = "1Gi"


class Alertmanager(Component):
    """Alertmanager at `https://alertmanager.monitoring.svc:9093`; silences and what was told lie on its volume."""

    def __init__(self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Let amtool check the configuration, then make certificate, volume and StatefulSet."""
        super().__init__("Alertmanager", name, args.context, opts, package="monitoring")
        self._after = [*self._after, *args.platform.namespaces.ready]
        context = args.context
        # A Secret: addresses of webhooks often let in who knows them.
        text = yaml.safe_dump(alertmanager_config(args.alerting), sort_keys=False)
        checked = self._check(context, text)
        # It becomes the running server's, at the latest when its pod starts again.
        config = secret_files(ALERTMANAGER, "alertmanager-config", {CONFIG_FILE: text}, self.child(checked))
        envoy = front(context, GUARDED, self, start_seconds=60)
        volume = Volume(ALERTMANAGER.label, VolumeArgs(context, ALERTMANAGER, args.size), self.child())
        service(ALERTMANAGER, {"https": ALERTMANAGER_PORT}, self.child(), headless=True)
        pod = Pod(
            ALERTMANAGER,
            image=context.image("alertmanager"),
            user=UNPRIVILEGED_USER,
            args=(
                f"--config.file={CONFIG_DIRECTORY}/{CONFIG_FILE}",
                f"--storage.path={DATA_DIRECTORY}",
                f"--web.listen-address=127.0.0.1:{SERVER_PORT}",
                "--cluster.listen-address=",
                "--log.format=json",
            ),
            mounts=(
                secret_mount("config", CONFIG_DIRECTORY, config),
                claim_mount("data", DATA_DIRECTORY, volume.claim),
                *envoy.mounts,
            ),
            files=(config, *envoy.files),
            probes=envoy.probes,
            metrics=envoy.metrics,
            resources=Resources(cpu="10m", memory="32Mi", memory_limit="256Mi"),
            sidecars=[envoy.sidecar],
        )
        self.ready = stateful_set(pod, self.child(checked))
        self.url = f"https://{ALERTMANAGER.host}:{ALERTMANAGER_PORT}"
        self.register_outputs({"url": self.url})

    def _check(self, context: Context, text: str) -> pulumi.Resource:
        """Let amtool read a copy: where it finds a mistake, the running server keeps what it has."""
        config = secret_files(ALERTMANAGER_CHECK, "alertmanager-check-config", {CONFIG_FILE: text}, self.child())
        pod = Pod(
            ALERTMANAGER_CHECK,
            image=context.image("alertmanager"),
            user=UNPRIVILEGED_USER,
            command=("amtool", "check-config", f"{CONFIG_DIRECTORY}/{CONFIG_FILE}"),
            mounts=(secret_mount("config", CONFIG_DIRECTORY, config),),
            files=(config,),
            resources=Resources(cpu="5m", memory="16Mi", memory_limit="64Mi"),
        )
        return job(pod, self.child())
