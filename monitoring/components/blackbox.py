"""The blackbox exporter: asks what `blackbox_config` names, as a client would."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from refsys.monitoring.components.blackbox_config import (
    CONFIG_DIRECTORY,
    CONFIG_FILE,
    OWN_CA,
    STATIONS_CA,
    config_text,
)
from refsys.platform.components import Context, Platform
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import config_files
from refsys.platform.components.names import BLACKBOX, BLACKBOX_PORT
from refsys.platform.components.pod import UNPRIVILEGED_USER, Pod, Resources, config_mount, http_probes
from refsys.platform.components.workload import deployment, service


@dataclass(frozen=True)
class BlackboxArgs:
    """Arguments of `Blackbox`."""

    context: Context
    platform: Platform
    station_authorities: Sequence[pulumi.Input[str]] = ()
    """Certificates (PEM) of the authorities of stations that have one of their own."""


class Blackbox(Component):
    """The exporter at `http://blackbox.monitoring.svc:9115/probe`, which only Prometheus reaches."""

    def __init__(self, name: str, args: BlackboxArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make configuration, Service and Deployment."""
        super().__init__("Blackbox", name, args.context, opts, package="monitoring")
        self._after = [*self._after, *args.platform.namespaces.ready]
        own = args.context.authority.ca_pem
        files: dict[str, pulumi.Input[str]] = {
            CONFIG_FILE: config_text(),
            OWN_CA: own,
            STATIONS_CA: pulumi.Output.all(own, *args.station_authorities).apply("\n".join),
        }
        config = config_files(BLACKBOX, "blackbox", files, self.child())
        service(BLACKBOX, {"http": BLACKBOX_PORT}, self.child())
        pod = Pod(
            BLACKBOX,
            image=args.context.image("exporters"),
            user=UNPRIVILEGED_USER,
            command=("/usr/bin/prometheus-blackbox-exporter",),
            args=(
                f"--config.file={CONFIG_DIRECTORY}/{CONFIG_FILE}",
                f"--web.listen-address=:{BLACKBOX_PORT}",
                "--log.level=warn",
                "--log.format=json",
            ),
            env={"GOMAXPROCS": "1", "GOMEMLIMIT": "24MiB"},
            mounts=(config_mount("config", CONFIG_DIRECTORY, config),),
            files=(config,),
            ports={"http": BLACKBOX_PORT},
            probes=http_probes(BLACKBOX_PORT, ready="/-/healthy", live="/-/healthy", start_seconds=30),
            resources=Resources(cpu="2m", memory="16Mi", memory_limit="64Mi"),
        )
        deployment(pod, self.child())
        self.register_outputs({})
