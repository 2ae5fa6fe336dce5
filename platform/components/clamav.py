"""ClamAV: the virus scan of uploads, in the cluster only."""

from dataclasses import dataclass

import pulumi

from refsys.platform.components.component import Component
from refsys.platform.components.context import Context
from refsys.platform.components.flows import StationNetwork
from refsys.platform.components.names import CLAMAV, CLAMAV_PORT
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Pod,
    Resources,
    Sidecar,
    scratch_mount,
    tcp_probes,
)
from refsys.platform.components.workload import deployment, service

DATABASE_DIRECTORY = "/var/lib/clamav"
START_SECONDS = 300  # with all signatures
BARE = Resources(cpu="10m", memory="48Mi", memory_limit="512Mi")
WITH_SIGNATURES = Resources(cpu="50m", memory="1400Mi", memory_limit="3Gi")
UPDATE = Resources(cpu="10m", memory="64Mi", memory_limit="1Gi")


@dataclass(frozen=True)
class Mirror:
    """A private mirror of ClamAV's signatures (`https://…`), and where on the network it is."""

    url: str
    network: StationNetwork


@dataclass(frozen=True)
class ClamAvArgs:
    """Arguments of `ClamAv`."""

    context: Context
    mirror: Mirror | None = None


class ClamAv(Component):
    """clamd at `clamav.infra.svc:3310`; with a mirror, freshclam beside it keeps the signatures up to date."""

    def __init__(self, name: str, args: ClamAvArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make Deployment and Service."""
        super().__init__("ClamAv", name, args.context, opts)
        mirror = args.mirror
        pod = Pod(
            CLAMAV,
            image=args.context.image("clamav"),
            user=UNPRIVILEGED_USER,
            mounts=(
                scratch_mount("database", DATABASE_DIRECTORY, "2Gi"),
                # What is scanned lies here, and what is unpacked of it.
                scratch_mount("temporary", "/tmp", "8Gi"),  # noqa: S108 - the pod's own
            ),
            ports={"clamd": CLAMAV_PORT},
            probes=tcp_probes(CLAMAV_PORT, start_seconds=START_SECONDS),
            resources=WITH_SIGNATURES if mirror else BARE,
            sidecars=[Sidecar("freshclam", {"CLAMAV_MIRROR": mirror.url}, UPDATE, command=["/usr/bin/clamav-update"])]
            if mirror
            else [],
        )
        deployment(pod, self.child())
        service(CLAMAV, {"clamd": CLAMAV_PORT}, self.child())
        self.register_outputs({})
