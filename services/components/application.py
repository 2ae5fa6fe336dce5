"""A hosted application: its namespace's limits, its pod behind Envoy, its volume, its backup."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pulumi
import yaml
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from refsys.platform.components import Context, Platform
from refsys.platform.components.application_front import LOOPBACK, front_config
from refsys.platform.components.component import Component, digest
from refsys.platform.components.configuration import CA, Files, config_files, labels
from refsys.platform.components.envoy_metrics import PATH as METRICS_PATH
from refsys.platform.components.gateway_config import envoy_secret
from refsys.platform.components.names import ENVOY_METRICS_PORT, HTTPS_PORT, POSTGRESQL, POSTGRESQL_PORT
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Metrics,
    Mount,
    Pod,
    Resources,
    Sidecar,
    claim_mount,
    config_mount,
    http_probes,
    scratch_mount,
)
from refsys.platform.components.postgresql import BINARIES
from refsys.platform.components.postgresql_config import DATABASE
from refsys.platform.components.secrets import (
    CA_DIRECTORY,
    CA_FILE,
    CERTIFICATE_FILE,
    DATABASE_FILE,
    SECRETS_DIRECTORY,
    secrets_env,
    secrets_mounts,
)
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import cron_job, deployment, service, stateful_set
from refsys.services.components.application_chart import ChartOf, chart_objects, inside_policy
from refsys.services.components.application_parts import Connected

FRONT_DIRECTORY = "/etc/refsys/envoy"
CONFIG_FILE, SECRET_FILE = "envoy.yaml", "certificate.yaml"
SECRETS_PORT = 9909
FRONT = Resources(cpu="5m", memory="48Mi", memory_limit="128Mi")
SECRETS = Resources(cpu="2m", memory="64Mi", memory_limit="128Mi")
BACKUP = Resources(cpu="10m", memory="64Mi", memory_limit="256Mi")
DUMP = Resources(cpu="10m", memory="32Mi", memory_limit="256Mi")
DUMP_DIRECTORY, DUMP_SIZE = "/var/lib/refsys/dump", "1Gi"


@dataclass(frozen=True)
class Quota:
    """What the namespace may have: all that runs in it together."""

    pods: int = 4
    cpus: float = 1
    memory_mib: int = 1024


@dataclass(frozen=True)
class Stored:
    """A volume, and the folder at which the application sees it."""

    size: str
    path: str = "/data"


@dataclass(frozen=True)
class ApplicationArgs:
    """Arguments of `Application`."""

    context: Context
    platform: Platform
    connected: Connected
    image: pulumi.Input[str]
    """Reference with digest; it must be signed."""
    resources: Resources
    after: Sequence[pulumi.Resource]
    """What must be there before: its secrets."""
    health: str = "/health"
    args: Sequence[str] = ()
    env: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    volume: Stored | None = None
    scratch: str = "64Mi"
    start_seconds: int = 60
    quota: Quota = field(default_factory=Quota)
    chart: ChartOf | None = None
    """In place of an own container: manifests, before which Envoy stands in a pod of its own."""
    backup_schedule: str = "30 2 * * *"
    backup_days: int = 14


class Application(Component):
    """An application in its namespace, which users reach through the gateway alone."""

    def __init__(self, name: str, args: ApplicationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make limits, certificate, volume, workload and Service, and the backup where there is one."""
        super().__init__("Application", name, args.context, opts, package="services")
        self._context, self._hosted = args.context, args.connected.hosted
        self._after = [*self._after, *args.platform.namespaces.ready]
        limits = self._limits(args.quota)
        self._after = [*self._after, *limits]
        app = self._hosted.app
        self._ca = config_files(app, "authority", {CA: args.platform.postgresql.ca_pem}, self.child())
        volume = (
            Volume(app.label, VolumeArgs(args.context, app, args.volume.size), self.child()) if args.volume else None
        )
        mounts = [claim_mount("data", args.volume.path, volume.claim)] if args.volume and volume else []
        if args.chart:
            self._after.append(inside_policy(self._hosted, self.child()))
            chart_objects(self._hosted, args.chart, self.child(*args.after))
        pod = self._pod(args, mounts)
        service(app, {"https": HTTPS_PORT}, self.child())
        run = stateful_set if volume else deployment
        self.ready: pulumi.Resource = run(pod, self.child(*args.after))
        if self._hosted.backup:
            cron_job(self._backup(args, mounts), args.backup_schedule, self.child(*args.after))
        self.url = self._hosted.url(args.context.domain)
        self.register_outputs({"url": self.url})

    def _limits(self, quota: Quota) -> list[pulumi.Resource]:
        namespace = self._hosted.app.namespace
        about = ObjectMetaArgs(name="application", namespace=namespace, labels=labels(self._hosted.app))
        total = core.ResourceQuota(
            f"{namespace}-quota",
            metadata=about,
            spec=core.ResourceQuotaSpecArgs(
                hard={
                    "pods": str(quota.pods),
                    "requests.cpu": f"{quota.cpus * 1000:.0f}m",
                    "requests.memory": f"{quota.memory_mib}Mi",
                    "limits.memory": f"{quota.memory_mib * 3}Mi",
                    "persistentvolumeclaims": "1",
                    "services.nodeports": "0",
                    "services.loadbalancers": "0",
                }
            ),
            opts=self.child(),
        )
        each = core.LimitRange(
            f"{namespace}-limits",
            metadata=about,
            spec=core.LimitRangeSpecArgs(
                limits=[
                    core.LimitRangeItemArgs(
                        type="Container",
                        default={"memory": "128Mi"},
                        default_request={"cpu": "10m", "memory": "32Mi"},
                        max={"memory": f"{quota.memory_mib * 2}Mi"},
                    )
                ]
            ),
            opts=self.child(),
        )
        return [total, each]

    def _pod(self, args: ApplicationArgs, mounts: Sequence[Mount]) -> Pod:
        hosted, part = self._hosted, args.connected.part
        app = hosted.app
        server = f"{args.chart.service}.{app.namespace}.svc.cluster.local" if args.chart else LOOPBACK
        front = {
            CONFIG_FILE: front_config(app.name, server, hosted.port, f"{FRONT_DIRECTORY}/{SECRET_FILE}"),
            SECRET_FILE: envoy_secret(CERTIFICATE_FILE),
        }
        texts = {name: yaml.safe_dump(content, sort_keys=False) for name, content in front.items()}
        envoy = config_files(app, "envoy", texts, self.child())
        # Another value makes another pod: not all programs read what they have a second time.
        values = Files(pulumi.Output.from_input(app.name), digest(part.secrets))
        metrics = [Metrics("metrics-envoy", ENVOY_METRICS_PORT)]
        own = [Metrics("metrics", hosted.port)] if hosted.scraped else []
        token, secrets = secrets_mounts()
        common = Pod(
            app,
            image=args.image,
            user=UNPRIVILEGED_USER,
            args=args.args,
            env={
                "REFSYS_APPLICATION": hosted.name,
                "REFSYS_PUBLIC_URL": hosted.url(self._context.domain),
                **part.env,
                **args.env,
            },
            mounts=(
                config_mount("ca", CA_DIRECTORY, self._ca),
                config_mount("envoy", FRONT_DIRECTORY, envoy),
                token,
                secrets,
                scratch_mount("temporary", "/tmp", args.scratch),  # noqa: S108 - the pod's own
                scratch_mount("secrets-temporary", "/tmp", "16Mi"),  # noqa: S108
                *mounts,
            ),
            files=(self._ca, envoy, values),
            ports={"https": HTTPS_PORT, **({} if hosted.scraped else {"http": hosted.port})},
            metrics=[*metrics, *own],
            probes=http_probes(hosted.port, ready=args.health, live=args.health, start_seconds=args.start_seconds),
            resources=args.resources,
            # The token is not for the application; what it brings is, as far as it reads it.
            sees=("ca", "temporary", secrets.name, *(mount.name for mount in mounts)),
            reads=(secrets.name,),
            sidecars=[self._secrets(args), self._front()],
        )
        return self._front_alone(common) if args.chart else common

    def _front_alone(self, pod: Pod) -> Pod:
        """Return the pod of Envoy itself, where the application has pods of its own."""
        secrets, front = pod.sidecars
        return replace(
            pod,
            image=self._context.image("gateway"),
            args=front.args,
            env={},
            probes=http_probes(ENVOY_METRICS_PORT, ready=METRICS_PATH, live=METRICS_PATH, start_seconds=60),
            resources=front.resources,
            ports={"https": HTTPS_PORT},
            sees=front.sees,
            sidecars=[secrets],
        )

    def _secrets(self, args: ApplicationArgs) -> Sidecar:
        part = args.connected.part
        fetched = secrets_env(
            self._hosted.app, values=bool(part.secrets), database=bool(part.database), dns_names=part.dns_names
        )
        return Sidecar(
            "secrets",
            {**fetched, "REFSYS_OPERATIONS_PORT": str(SECRETS_PORT)},
            SECRETS,
            args=["secrets"],
            image=self._context.image("services"),
            makes=CERTIFICATE_FILE,
            sees=("ca", "openbao-token", "secrets", "secrets-temporary"),
        )

    def _front(self) -> Sidecar:
        return Sidecar(
            "envoy",
            {},
            FRONT,
            args=(
                *("--config-path", f"{FRONT_DIRECTORY}/{CONFIG_FILE}"),
                *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
            ),
            image=self._context.image("gateway"),
            around=True,
            sees=("envoy", "secrets"),
        )

    def _backup(self, args: ApplicationArgs, mounts: Sequence[Mount]) -> Pod:
        """Return what saves database and volume into the object store, one after the other."""
        hosted, part = self._hosted, args.connected.backup
        app = hosted.backup_app
        fetched = secrets_env(app, values=bool(part.secrets), database=bool(part.database))
        token, secrets = secrets_mounts()
        dump = scratch_mount("dump", DUMP_DIRECTORY, DUMP_SIZE)
        holding = Sidecar(
            "secrets",
            {**fetched, "REFSYS_OPERATIONS_PORT": str(SECRETS_PORT)},
            SECRETS,
            args=["secrets"],
            makes=DATABASE_FILE if part.database else f"{SECRETS_DIRECTORY}/s3-access-key",
            sees=("ca", token.name, secrets.name, "temporary"),
        )
        return Pod(
            app,
            image=self._context.image("services"),
            user=UNPRIVILEGED_USER,
            args=("application-backup",),
            env={
                **part.env,
                "REFSYS_BACKUP_APPLICATION": hosted.name,
                "REFSYS_BACKUP_DAYS": str(args.backup_days),
                "REFSYS_BACKUP_FOLDERS": json.dumps(
                    {
                        **({"volume": args.volume.path} if args.volume else {}),
                        **({"database": DUMP_DIRECTORY} if hosted.database else {}),
                    }
                ),
            },
            mounts=(
                config_mount("ca", CA_DIRECTORY, self._ca),
                token,
                secrets,
                dump,
                scratch_mount("temporary", "/tmp", "16Mi"),  # noqa: S108 - the pod's own
                *mounts,
            ),
            files=(self._ca,),
            resources=BACKUP,
            sees=("ca", secrets.name, dump.name, "temporary", *(mount.name for mount in mounts)),
            reads=(secrets.name, *(mount.name for mount in mounts)),
            sidecars=[holding, *([self._dump(dump)] if hosted.database else [])],
        )

    def _dump(self, folder: Mount) -> Sidecar:
        """Return what writes the schema down before the backup begins; it reads user and password from their file."""
        connection = (
            f"host={POSTGRESQL.host} port={POSTGRESQL_PORT} dbname={DATABASE} sslmode=verify-full sslrootcert={CA_FILE}"
        )
        script = (
            f"{{ read -r PGUSER; read -r PGPASSWORD; }} < {DATABASE_FILE}; export PGUSER PGPASSWORD; "
            f"exec {BINARIES}/pg_dump --dbname='{connection}' --schema={self._hosted.database_role} "
            f"--role={self._hosted.database_role} --no-owner --no-privileges --format=custom "
            f"--file={folder.path}/database.dump"
        )
        return Sidecar(
            "dump",
            {},
            DUMP,
            command=["/bin/sh", "-ec"],
            args=[script],
            image=self._context.image("postgresql"),
            ends=True,
            sees=("ca", "secrets", folder.name),
        )
