"""PostgreSQL 15 with PostGIS: one server, and the job that makes databases, schemas and roles."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from refsys.platform.components.component import Component
from refsys.platform.components.configuration import CA, certificate_files, config_files, secret_files
from refsys.platform.components.context import Context
from refsys.platform.components.names import (
    POSTGRESQL,
    POSTGRESQL_METRICS_PORT,
    POSTGRESQL_PORT,
    POSTGRESQL_ROLES,
)
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Metrics,
    Pod,
    Resources,
    Sidecar,
    claim_mount,
    config_mount,
    exec_probes,
    scratch_mount,
    secret_mount,
)
from refsys.platform.components.postgresql_config import (
    DATABASE,
    EXPORTER,
    USERS,
    pg_hba_conf,
    pg_ident_conf,
    postgresql_conf,
    roles_sql,
)
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import job, service, stateful_set

USER = 999
SUPERUSER = "postgres"
SETTINGS_FILE = "refsys.conf"
ACCESS_FILE = "refsys.hba"
"""Not `.conf`: the image reads all files of that ending as settings."""
IDENTITIES_FILE = "refsys.ident"
BINARIES = "/usr/lib/postgresql/15/bin"
TLS_DIRECTORY = "/etc/refsys/tls"
CONFIG_DIRECTORY = "/etc/refsys/postgresql"
PASSWORD_DIRECTORY = "/etc/refsys/passwords"  # noqa: S105 - a path
SOCKET = "socket"
SOCKET_DIRECTORY = "/run/postgresql"
START_SECONDS = 120


@dataclass(frozen=True)
class PostgreSqlArgs:
    """Arguments of `PostgreSql`."""

    context: Context
    size: str = "20Gi"
    applications: Sequence[str] = ()
    """Roles of hosted applications, each with a schema of its name."""


class PostgreSql(Component):
    """The server at `postgresql.database.svc:5432`, over TLS alone; services have short-lived users of roles."""

    def __init__(self, name: str, args: PostgreSqlArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the server, then its databases and roles."""
        super().__init__("PostgreSql", name, args.context, opts)
        context = args.context
        self.passwords: dict[str, pulumi.Output[str]] = {
            user: context.passwords(f"postgresql-{user}", self) for user in USERS
        }
        certificate = context.authority.issue(POSTGRESQL.name, dns_names=POSTGRESQL.dns_names, parent=self)
        superuser = context.passwords(f"postgresql-{SUPERUSER}", self)
        server = self._server(args, certificate_files(certificate), superuser)
        # Depends on the job: whoever uses the databases waits for it.
        self.ready = self._roles(args, certificate.ca_pem, superuser, server)
        self.ca_pem = certificate.ca_pem
        self.address = f"{POSTGRESQL.host}:{POSTGRESQL_PORT}"
        self.register_outputs({"address": self.address})

    def _server(
        self,
        args: PostgreSqlArgs,
        certificate: dict[str, pulumi.Input[str]],
        superuser: pulumi.Output[str],
    ) -> pulumi.Resource:
        context = args.context
        config = config_files(
            POSTGRESQL,
            "postgresql-config",
            {SETTINGS_FILE: postgresql_conf(), ACCESS_FILE: pg_hba_conf(), IDENTITIES_FILE: pg_ident_conf()},
            self.child(),
        )
        tls = secret_files(POSTGRESQL, "postgresql-tls", certificate, self.child())
        password = secret_files(POSTGRESQL, "postgresql-superuser", {SUPERUSER: superuser}, self.child())
        volume = Volume(POSTGRESQL.label, VolumeArgs(context, POSTGRESQL, args.size), self.child())
        service(POSTGRESQL, {"postgresql": POSTGRESQL_PORT}, self.child(), headless=True)
        pod = Pod(
            POSTGRESQL,
            image=context.image("postgresql"),
            user=USER,
            args=(
                "-c",
                f"hba_file={CONFIG_DIRECTORY}/{ACCESS_FILE}",
                "-c",
                f"ident_file={CONFIG_DIRECTORY}/{IDENTITIES_FILE}",
            ),
            env={"REFSYS_POSTGRESQL_PASSWORD_FILE": f"{PASSWORD_DIRECTORY}/{SUPERUSER}"},
            mounts=(
                config_mount("config", CONFIG_DIRECTORY, config),
                secret_mount("tls", TLS_DIRECTORY, tls),
                secret_mount("password", PASSWORD_DIRECTORY, password),
                claim_mount("data", "/var/lib/postgresql", volume.claim),
                scratch_mount(SOCKET, SOCKET_DIRECTORY, "1Mi"),
                scratch_mount("temporary", "/tmp", "256Mi"),  # noqa: S108 - the pod's own
                scratch_mount("shared-memory", "/dev/shm", "128Mi", memory=True),  # noqa: S108
            ),
            files=(config, tls),
            ports={"postgresql": POSTGRESQL_PORT},
            probes=exec_probes([f"{BINARIES}/pg_isready", "-h", SOCKET_DIRECTORY], start_seconds=START_SECONDS),
            resources=Resources(cpu="100m", memory="384Mi", memory_limit="1Gi"),
            metrics=(Metrics("metrics", POSTGRESQL_METRICS_PORT),),
            sidecars=[exporter(context)],
            grace_seconds=60,
        )
        return stateful_set(pod, self.child())

    def _roles(
        self,
        args: PostgreSqlArgs,
        ca_pem: pulumi.Output[str],
        superuser: pulumi.Output[str],
        server: pulumi.Resource,
    ) -> pulumi.Resource:
        sql = roles_sql(PASSWORD_DIRECTORY, args.applications)
        script = config_files(POSTGRESQL_ROLES, "postgresql-roles", {"roles.sql": sql, CA: ca_pem}, self.child())
        passwords = secret_files(
            POSTGRESQL_ROLES, "postgresql-roles", {SUPERUSER: superuser, **self.passwords}, self.child()
        )
        connection = (
            f"host={POSTGRESQL.host} port={POSTGRESQL_PORT} user={SUPERUSER} dbname=postgres "
            f"sslmode=verify-full sslrootcert={CONFIG_DIRECTORY}/{CA} connect_timeout=10"
        )
        run = (
            f'PGPASSWORD="$(cat {PASSWORD_DIRECTORY}/{SUPERUSER})" '
            f'exec {BINARIES}/psql --quiet --no-psqlrc "{connection}" -f {CONFIG_DIRECTORY}/roles.sql'
        )
        pod = Pod(
            POSTGRESQL_ROLES,
            image=args.context.image("postgresql"),
            user=USER,
            command=("/bin/sh", "-ec"),
            args=(f"export PGOPTIONS='-c client_min_messages=warning'; {run}",),
            mounts=(
                config_mount("script", CONFIG_DIRECTORY, script),
                secret_mount("passwords", PASSWORD_DIRECTORY, passwords),
                scratch_mount("temporary", "/tmp", "16Mi"),  # noqa: S108 - the pod's own
            ),
            files=(script, passwords),
            resources=Resources(cpu="10m", memory="32Mi", memory_limit="128Mi"),
        )
        return job(pod, self.child(server))


def exporter(context: Context) -> Sidecar:
    """Return what asks the server for its figures, through its socket and as a user that may nothing else."""
    return Sidecar(
        "exporter",
        {
            "DATA_SOURCE_NAME": data_source(SOCKET_DIRECTORY),
            "GOMAXPROCS": "1",
            "GOMEMLIMIT": "24MiB",
        },
        Resources(cpu="2m", memory="16Mi", memory_limit="48Mi"),
        command=["/usr/bin/prometheus-postgres-exporter"],
        args=[f"--web.listen-address=:{POSTGRESQL_METRICS_PORT}", "--log.level=warn", "--log.format=json"],
        image=context.image("exporters"),
        sees=(SOCKET,),
        user=UNPRIVILEGED_USER,
    )


def data_source(folder: str) -> str:
    """Return how the exporter connects to the server, whose socket is in `folder`."""
    return f"host={folder} dbname={DATABASE} user={EXPORTER} sslmode=disable"
