"""Keycloak 26 over PostgreSQL, and the job that keeps its realm as the program says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from refsys.platform.components.applications import Hosted
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import (
    CA,
    CERTIFICATE,
    PRIVATE_KEY,
    certificate_files,
    secret_files,
)
from refsys.platform.components.context import Context
from refsys.platform.components.directory import Directory, Source
from refsys.platform.components.identity_job import ADMIN_CLIENT, IdentityJobArgs, identity_job
from refsys.platform.components.names import HTTPS_PORT, KEYCLOAK, KEYCLOAK_MANAGEMENT_PORT, POSTGRESQL, POSTGRESQL_PORT
from refsys.platform.components.people import People
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Metrics,
    Pod,
    Resources,
    http_probes,
    scratch_mount,
    secret_mount,
)
from refsys.platform.components.postgresql import PostgreSql
from refsys.platform.components.postgresql_config import KEYCLOAK_DATABASE
from refsys.platform.components.realm import CLIENT, DEMO_USER, PORTAL_CLIENT, endpoints
from refsys.platform.components.realm_applications import clients_of
from refsys.platform.components.workload import deployment, service

CONFIG_DIRECTORY = "/etc/refsys/keycloak"
TLS_DIRECTORY = "/etc/refsys/tls"
OUTSIDE_CA = "outside.crt"
HEAP_MIB = 512
START_SECONDS = 240


def keycloak_conf(domain: str, *, outside_ca: bool = False) -> str:
    """Return `keycloak.conf` without its secrets; `outside_ca` is the authority of an outside directory."""
    database = (
        f"jdbc:postgresql://{POSTGRESQL.host}:{POSTGRESQL_PORT}/{KEYCLOAK_DATABASE}"
        f"?sslmode=verify-full&sslrootcert={TLS_DIRECTORY}/{CA}"
    )
    trusted = [CA, *([OUTSIDE_CA] if outside_ca else [])]
    settings = {
        "db-url": database,
        "db-username": KEYCLOAK_DATABASE,
        "db-pool-max-size": "20",
        "hostname": f"https://auth.{domain}",
        # Services ask for keys inside the cluster; the issuer stays the outside name.
        "hostname-backchannel-dynamic": "true",
        "proxy-headers": "xforwarded",
        "http-enabled": "false",
        "https-port": str(HTTPS_PORT),
        "https-certificate-file": f"{TLS_DIRECTORY}/{CERTIFICATE}",
        "https-certificate-key-file": f"{TLS_DIRECTORY}/{PRIVATE_KEY}",
        "truststore-paths": ",".join(f"{TLS_DIRECTORY}/{name}" for name in trusted),
        "http-management-port": str(KEYCLOAK_MANAGEMENT_PORT),
        "http-management-scheme": "http",
        "cache": "local",
        "log-console-output": "json",
        "bootstrap-admin-client-id": ADMIN_CLIENT,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


@dataclass(frozen=True)
class KeycloakArgs:
    """Arguments of `Keycloak`."""

    context: Context
    postgresql: PostgreSql
    source: Source
    directory: Directory | None = None
    """The environment's own, behind `source`."""
    people: People = field(default_factory=People)
    demo_user: bool = False
    """Make the user `demo` and allow password grants."""
    applications: Sequence[Hosted] = ()


class Keycloak(Component):
    """Keycloak at `https://keycloak.iam.svc:8443`, for users at `https://auth.<domain>`."""

    def __init__(self, name: str, args: KeycloakArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make Keycloak, then its realm."""
        super().__init__("Keycloak", name, args.context, opts)
        context = args.context
        admin = context.passwords("keycloak-admin", self)
        certificate = context.authority.issue(KEYCLOAK.name, dns_names=KEYCLOAK.dns_names, parent=self)
        server = self._server(args, admin, certificate_files(certificate))
        self.portal_secret = context.passwords("keycloak-portal", self)
        self.application_secrets: Mapping[str, pulumi.Output[str]] = {
            client: context.passwords(f"keycloak-{client}", self) for client in clients_of(args.applications)
        }
        self.demo_password = context.passwords("keycloak-demo", self) if args.demo_user else None
        self.first_passwords: Mapping[str, pulumi.Output[str]] = {
            person.name: context.passwords(f"user-{person.name}", self) for person in args.people.people
        }
        identity = IdentityJobArgs(
            context,
            args.people,
            args.source,
            args.directory,
            admin,
            {PORTAL_CLIENT: self.portal_secret, **self.application_secrets},
            certificate.ca_pem,
            {} if self.demo_password is None else {DEMO_USER: self.demo_password},
            self.first_passwords,
            args.applications,
        )
        known = [args.directory.ready] if args.directory else []
        self.ready = identity_job(identity, self.child(server, *known))
        self.ca_pem = certificate.ca_pem
        self.internal_url = f"https://{KEYCLOAK.host}:{HTTPS_PORT}"
        self.endpoints = endpoints(context.domain, self.internal_url)
        self.client_id = CLIENT
        self.register_outputs({"token_url": self.endpoints.token_url})

    def _server(
        self, args: KeycloakArgs, admin: pulumi.Output[str], certificate: dict[str, pulumi.Input[str]]
    ) -> pulumi.Resource:
        context, postgresql = args.context, args.postgresql
        text = pulumi.Output.concat(
            keycloak_conf(context.domain, outside_ca=args.source.ca_pem is not None),
            "db-password=",
            postgresql.passwords[KEYCLOAK_DATABASE],
            "\nbootstrap-admin-client-secret=",
            admin,
            "\n",
        )
        config = secret_files(KEYCLOAK, "keycloak-config", {"keycloak.conf": text}, self.child())
        outside: dict[str, pulumi.Input[str]] = {OUTSIDE_CA: args.source.ca_pem} if args.source.ca_pem else {}
        tls = secret_files(KEYCLOAK, "keycloak-tls", certificate | outside, self.child())
        service(KEYCLOAK, {"https": HTTPS_PORT}, self.child())
        pod = Pod(
            KEYCLOAK,
            image=context.image("keycloak"),
            user=UNPRIVILEGED_USER,
            args=(f"--config-file={CONFIG_DIRECTORY}/keycloak.conf", "start", "--optimized"),
            env={"JAVA_OPTS_KC_HEAP": f"-Xms{HEAP_MIB // 2}m -Xmx{HEAP_MIB}m"},
            mounts=(
                secret_mount("config", CONFIG_DIRECTORY, config),
                secret_mount("tls", TLS_DIRECTORY, tls),
                scratch_mount("data", "/opt/keycloak/data", "256Mi"),
                scratch_mount("temporary", "/tmp", "256Mi"),  # noqa: S108 - the pod's own
            ),
            files=(config, tls),
            ports={"https": HTTPS_PORT},
            metrics=(Metrics("metrics", KEYCLOAK_MANAGEMENT_PORT),),
            probes=http_probes(
                KEYCLOAK_MANAGEMENT_PORT, ready="/health/ready", live="/health/live", start_seconds=START_SECONDS
            ),
            resources=Resources(cpu="100m", memory=f"{HEAP_MIB + 128}Mi", memory_limit="1Gi"),
            grace_seconds=60,
        )
        return deployment(pod, self.child(postgresql.ready))
