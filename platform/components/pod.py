"""A pod as this platform runs them: Pod Security `restricted`, read-only root, nothing of the API server."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from refsys.platform.components.component import digest
from refsys.platform.components.configuration import Files, labels
from refsys.platform.components.names import POOL_LABEL, App

UNPRIVILEGED_USER = 65532
"""User of the images that don't need one of their own."""
SIDECAR_ATTEMPTS = 150  # every two seconds, until it made what the pod waits for
METRICS_NAME = re.compile("metrics(-[a-z][a-z0-9-]*)?")
PORT_NAME_LENGTH = 15
DIGEST_ANNOTATION = "refsys/configuration-digest"


@dataclass(frozen=True)
class Mount:
    """A volume and the folder at which the container sees it."""

    name: str
    path: str
    source: core.VolumeArgs
    writable: bool = False


def secret_mount(name: str, path: str, files: Files) -> Mount:
    """Mount a Secret's files, readable by the pod's group alone."""
    source = core.SecretVolumeSourceArgs(secret_name=files.name, default_mode=0o440)
    return Mount(name, path, core.VolumeArgs(name=name, secret=source))


def config_mount(name: str, path: str, files: Files) -> Mount:
    """Mount a ConfigMap's files."""
    source = core.ConfigMapVolumeSourceArgs(name=files.name, default_mode=0o444)
    return Mount(name, path, core.VolumeArgs(name=name, config_map=source))


def scratch_mount(name: str, path: str, size: str, *, memory: bool = False) -> Mount:
    """Mount an empty folder of at most `size` that lives as long as the pod; `memory` counts as its memory."""
    source = core.EmptyDirVolumeSourceArgs(size_limit=size, medium="Memory" if memory else None)
    return Mount(name, path, core.VolumeArgs(name=name, empty_dir=source), writable=True)


def claim_mount(name: str, path: str, claim: pulumi.Input[str]) -> Mount:
    """Mount a persistent volume by its claim."""
    source = core.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim)
    return Mount(name, path, core.VolumeArgs(name=name, persistent_volume_claim=source), writable=True)


@dataclass(frozen=True)
class Resources:
    """What the pod asks for and may use; CPU has no limit, since throttling only makes latency."""

    cpu: str
    memory: str
    memory_limit: str


@dataclass(frozen=True)
class Probes:
    """How the kubelet learns that the pod has started, may serve, and is alive."""

    startup: core.ProbeArgs
    readiness: core.ProbeArgs
    liveness: core.ProbeArgs


def http_probes(
    port: int, *, ready: str, live: str, started: str | None = None, scheme: str = "HTTP", start_seconds: int
) -> Probes:
    """Probe by HTTP GET; the pod has `start_seconds` to answer `started` (else `live`) for the first time."""

    def get(path: str) -> core.HTTPGetActionArgs:
        return core.HTTPGetActionArgs(path=path, port=port, scheme=scheme)

    return Probes(
        startup=core.ProbeArgs(
            http_get=get(started or live),
            period_seconds=2,
            timeout_seconds=5,
            failure_threshold=start_seconds // 2,
        ),
        readiness=core.ProbeArgs(http_get=get(ready), period_seconds=5, timeout_seconds=5, failure_threshold=3),
        liveness=core.ProbeArgs(http_get=get(live), period_seconds=15, timeout_seconds=10, failure_threshold=4),
    )


def exec_probes(command: Sequence[str], *, start_seconds: int) -> Probes:
    """Probe by a command in the container."""
    action = core.ExecActionArgs(command=list(command))
    return Probes(
        startup=core.ProbeArgs(exec_=action, period_seconds=2, timeout_seconds=5, failure_threshold=start_seconds // 2),
        readiness=core.ProbeArgs(exec_=action, period_seconds=10, timeout_seconds=5, failure_threshold=3),
        liveness=core.ProbeArgs(exec_=action, period_seconds=20, timeout_seconds=10, failure_threshold=4),
    )


def tcp_probes(port: int, *, start_seconds: int) -> Probes:
    """Probe by opening a TCP connection, for servers that only speak a protocol of their own."""
    action = core.TCPSocketActionArgs(port=port)
    return Probes(
        startup=core.ProbeArgs(tcp_socket=action, period_seconds=2, failure_threshold=start_seconds // 2),
        readiness=core.ProbeArgs(tcp_socket=action, period_seconds=10, failure_threshold=3),
        liveness=core.ProbeArgs(tcp_socket=action, period_seconds=20, failure_threshold=4),
    )


class SecretKey(NamedTuple):
    """A value of a Secret, for programs that take secrets only from their environment."""

    files: Files
    key: str


@dataclass(frozen=True)
class Metrics:
    """Where one of the pod's programs tells its metrics: `/metrics` by plain HTTP, inside the pods' encrypted network.

    Prometheus finds it by the port's name (at most 15 characters). `metrics`: its job is called like the app, those of
    namespace `processing` together `chain`. `metrics-<job>`: its job is that.
    """

    name: str
    port: int

    def __post_init__(self) -> None:
        """Refuse names by which nobody would find it."""
        if not METRICS_NAME.fullmatch(self.name) or len(self.name) > PORT_NAME_LENGTH:
            raise ValueError(f"{self.name!r}: must be metrics or metrics-<job>, at most {PORT_NAME_LENGTH} characters")


@dataclass(frozen=True)
class Sidecar:
    """Another container of a pod."""

    name: str
    env: Mapping[str, pulumi.Input[str]]
    resources: Resources
    command: Sequence[str] = ()
    """In place of the image's entry point."""
    args: Sequence[str] = ()
    image: pulumi.Input[str] | None = None
    """None: the pod's."""
    makes: str | None = None
    """A file without which the pod's own container can't start, and so waits for it."""
    ports: Mapping[str, int] = field(default_factory=dict)
    ends: bool = False
    """It prepares something, and is over before the pod's own container starts."""
    around: bool = False
    """It starts before the pod's own container and ends after it."""
    sees: Collection[str] | None = None
    """Names of the pod's mounts that it has; None: all."""
    user: int | None = None
    """None: the pod's."""

    @property
    def first(self) -> bool:
        """Whether it is started before the pod's own container."""
        return self.around or self.ends or self.makes is not None


@dataclass(frozen=True)
class Pod:
    """A pod of one container, perhaps with others beside it, which run as `user`, its own group."""

    app: App
    image: pulumi.Input[str]
    user: int
    resources: Resources
    mounts: Sequence[Mount] = ()
    command: Sequence[str] = ()
    """In place of the image's entry point."""
    args: Sequence[str] = ()
    at_start: Sequence[str] = ()
    """A command beside it as it starts; sidecars that are not before it wait for that command's end."""
    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secret_env: Mapping[str, SecretKey] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    metrics: Sequence[Metrics] = ()
    """Of all its containers; `flows.SCRAPED` lets Prometheus reach them."""
    probes: Probes | None = None
    files: Sequence[Files] = ()
    """Mounted files whose change must make a new pod."""
    grace_seconds: int = 30
    sidecars: Sequence[Sidecar] = ()
    sees: Collection[str] | None = None
    """Names of the mounts that its own container has; None: all."""
    reads: Collection[str] = ()
    """Of those the ones that it may not write, though they can be written."""
    pool: str | None = None
    """The pool of nodes that has nothing else; None: the nodes that are for all."""

    def digest(self) -> pulumi.Output[str]:
        """Return a digest of all that decides what the container does."""
        return digest(
            self.image,
            list(self.command),
            list(self.args),
            list(self.at_start),
            dict(self.env),
            [files.digest for files in self.files],
        )

    def template(self, service_account: pulumi.Input[str], *, restart: str = "Always") -> core.PodTemplateSpecArgs:
        """Return the template of this pod for a workload's spec."""
        first = [self._beside(sidecar) for sidecar in self.sidecars if sidecar.first]
        beside = [self._beside(sidecar) for sidecar in self.sidecars if not sidecar.first]
        return core.PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(
                labels=labels(self.app),
                annotations={DIGEST_ANNOTATION: digest([files.digest for files in self.files])},
            ),
            spec=core.PodSpecArgs(
                service_account_name=service_account,
                automount_service_account_token=False,
                enable_service_links=False,
                restart_policy=restart,
                node_selector={POOL_LABEL: self.pool} if self.pool else None,
                tolerations=[core.TolerationArgs(key=POOL_LABEL, operator="Equal", value=self.pool)]
                if self.pool
                else None,
                termination_grace_period_seconds=self.grace_seconds,
                # Names are whole; with the usual five each would first be looked for in all domains of the cluster.
                dns_config=core.PodDNSConfigArgs(options=[core.PodDNSConfigOptionArgs(name="ndots", value="1")]),
                security_context=core.PodSecurityContextArgs(
                    run_as_non_root=True,
                    run_as_user=self.user,
                    run_as_group=self.user,
                    fs_group=self.user,
                    fs_group_change_policy="OnRootMismatch",
                    seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
                ),
                init_containers=first or None,
                containers=[self._container(), *beside],
                volumes=[mount.source for mount in self.mounts],
            ),
        )

    def _environment(self) -> list[core.EnvVarArgs]:
        plain = [core.EnvVarArgs(name=name, value=value) for name, value in sorted(self.env.items())]
        secret = [
            core.EnvVarArgs(
                name=name,
                value_from=core.EnvVarSourceArgs(
                    secret_key_ref=core.SecretKeySelectorArgs(name=value.files.name, key=value.key)
                ),
            )
            for name, value in sorted(self.secret_env.items())
        ]
        return plain + secret

    def _beside(self, sidecar: Sidecar) -> core.ContainerArgs:
        made = core.ExecActionArgs(command=["test", "-s", sidecar.makes]) if sidecar.makes else None
        return core.ContainerArgs(
            name=sidecar.name,
            image=sidecar.image or self.image,
            image_pull_policy="IfNotPresent",
            # An init container that is restarted runs beside the others, which wait for its startup probe.
            restart_policy="Always" if sidecar.first and not sidecar.ends else None,
            startup_probe=core.ProbeArgs(exec_=made, period_seconds=2, failure_threshold=SIDECAR_ATTEMPTS)
            if made
            else None,
            command=list(sidecar.command) or None,
            args=list(sidecar.args) or None,
            env=[core.EnvVarArgs(name=name, value=value) for name, value in sorted(sidecar.env.items())],
            ports=_ports(sidecar.ports),
            volume_mounts=self._mounts(sidecar.sees),
            resources=_resources(sidecar.resources),
            security_context=_restricted(sidecar.user),
        )

    def _mounts(self, names: Collection[str] | None, reads: Collection[str] = ()) -> list[core.VolumeMountArgs]:
        return [
            core.VolumeMountArgs(
                name=mount.name, mount_path=mount.path, read_only=not mount.writable or mount.name in reads
            )
            for mount in self.mounts
            if names is None or mount.name in names
        ]

    def _container(self) -> core.ContainerArgs:
        probes = self.probes
        at_start = core.LifecycleHandlerArgs(exec_=core.ExecActionArgs(command=list(self.at_start)))
        return core.ContainerArgs(
            name=self.app.name,
            image=self.image,
            image_pull_policy="IfNotPresent",
            command=list(self.command) or None,
            args=list(self.args) or None,
            lifecycle=core.LifecycleArgs(post_start=at_start) if self.at_start else None,
            env=self._environment(),
            ports=_ports({**self.ports, **{metrics.name: metrics.port for metrics in self.metrics}}),
            volume_mounts=self._mounts(self.sees, self.reads),
            resources=_resources(self.resources),
            startup_probe=probes.startup if probes else None,
            readiness_probe=probes.readiness if probes else None,
            liveness_probe=probes.liveness if probes else None,
            security_context=_restricted(),
        )


def _ports(ports: Mapping[str, int]) -> list[core.ContainerPortArgs]:
    return [core.ContainerPortArgs(name=name, container_port=port, protocol="TCP") for name, port in ports.items()]


def _resources(resources: Resources) -> core.ResourceRequirementsArgs:
    return core.ResourceRequirementsArgs(
        requests={"cpu": resources.cpu, "memory": resources.memory},
        limits={"memory": resources.memory_limit},
    )


def _restricted(user: int | None = None) -> core.SecurityContextArgs:
    return core.SecurityContextArgs(
        run_as_user=user,
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        capabilities=core.CapabilitiesArgs(drop=["ALL"]),
    )
