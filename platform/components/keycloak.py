"""Keycloak 26 over PostgreSQL, and the job that keeps its realm as the program says."""

import json
from dataclasses import dataclass
from pathlib import Path

import pulumi

from refsys.platform.components.component import Component
from refsys.platform.components.configuration import (
    CA,
    CERTIFICATE,
    PRIVATE_KEY,
    certificate_files,
    config_files,
    secret_files,
)
from refsys.platform.components.context import Context
from refsys.platform.components.names import HTTPS_PORT, KEYCLOAK, KEYCLOAK_REALM
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Pod,
    Resources,
    config_mount,
    http_probes,
    scratch_mount,
    secret_mount,
)
from refsys.platform.components.postgresql import PostgreSql
from refsys.platform.components.postgresql_config import KEYCLOAK_DATABASE
from refsys.platform.components.realm import CLIENT, DEMO_USER, endpoints, realm
from refsys.platform.components.workload import deployment, job, service

CONFIG_DIRECTORY = "/etc/refsys/keycloak"
TLS_DIRECTORY = "/etc/refsys/tls"
SCRIPT = "realm_sync.py"
ADMIN_CLIENT = "realm-job"
MANAGEMENT_PORT = 9000
HEAP_MIB = 512
START_SECONDS = 240


def keycloak_conf(domain: str) -> str:
    """Return `keycloak.conf` without its secrets."""
    database = (
        f"jdbc:postgresql://postgresql.database.svc:5432/{KEYCLOAK_DATABASE}"
        f"?sslmode=verify-full&sslrootcert={TLS_DIRECTORY}/{CA}"
    )
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
        "http-management-port": str(MANAGEMENT_PORT),
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
    demo_user: bool = False
    """Make the user `demo` and allow password grants."""


class Keycloak(Component):
    """Keycloak at `https://keycloak.iam.svc:8443`, for users at `https://auth.<domain>`."""

    def __init__(self, name: str, args: KeycloakArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make Keycloak, then its realm."""
        super().__init__("Keycloak", name, args.context, opts)
        context = args.context
        admin = context.passwords("keycloak-admin", self)
        certificate = context.authority.issue(KEYCLOAK.name, dns_names=KEYCLOAK.dns_names, parent=self)
        server = self._server(args, admin, certificate_files(certificate))
        self.demo_password: pulumi.Output[str] | None = None
        if args.demo_user:
            self.demo_password = context.passwords("keycloak-demo", self)
        self.ready = self._realm(context, admin, certificate.ca_pem, server)
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
            keycloak_conf(context.domain),
            "db-password=",
            postgresql.passwords[KEYCLOAK_DATABASE],
            "\nbootstrap-admin-client-secret=",
            admin,
            "\n",
        )
        config = secret_files(KEYCLOAK, "keycloak-config", {"keycloak.conf": text}, self.child())
        tls = secret_files(KEYCLOAK, "keycloak-tls", certificate, self.child())
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
            ports={"https": HTTPS_PORT, "management": MANAGEMENT_PORT},
            probes=http_probes(
                MANAGEMENT_PORT, ready="/health/ready", live="/health/live", start_seconds=START_SECONDS
            ),
            resources=Resources(cpu="100m", memory=f"{HEAP_MIB + 128}Mi", memory_limit="1Gi"),
            grace_seconds=60,
        )
        return deployment(pod, self.child(postgresql.ready))

    def _realm(
        self,
        context: Context,
        admin: pulumi.Output[str],
        ca_pem: pulumi.Output[str],
        server: pulumi.Resource,
    ) -> pulumi.Resource:
        wanted = realm(context.domain, demo_user=self.demo_password is not None)
        passwords = {DEMO_USER: self.demo_password} if self.demo_password is not None else {}
        script = Path(__file__).with_name(SCRIPT).read_text(encoding="utf-8")
        files = config_files(
            KEYCLOAK_REALM,
            "keycloak-realm",
            {SCRIPT: script, "realm.json": json.dumps(wanted, indent=1), CA: ca_pem},
            self.child(),
        )
        secrets = secret_files(
            KEYCLOAK_REALM,
            "keycloak-realm",
            {"client-secret": admin, "users.json": pulumi.Output.json_dumps(passwords)},
            self.child(),
        )
        config, secret = CONFIG_DIRECTORY, "/etc/refsys/secrets"
        pod = Pod(
            KEYCLOAK_REALM,
            image=context.image("services"),
            user=UNPRIVILEGED_USER,
            command=("python3", f"{config}/{SCRIPT}"),
            env={
                "KEYCLOAK_URL": f"https://{KEYCLOAK.host}:{HTTPS_PORT}",
                "KEYCLOAK_CA_FILE": f"{config}/{CA}",
                "KEYCLOAK_CLIENT_ID": ADMIN_CLIENT,
                "KEYCLOAK_CLIENT_SECRET_FILE": f"{secret}/client-secret",
                "REALM_FILE": f"{config}/realm.json",
                "USER_PASSWORDS_FILE": f"{secret}/users.json",
            },
            mounts=(
                config_mount("config", config, files),
                secret_mount("secrets", secret, secrets),
                scratch_mount("temporary", "/tmp", "16Mi"),  # noqa: S108 - the pod's own
            ),
            files=(files, secrets),
            resources=Resources(cpu="10m", memory="64Mi", memory_limit="128Mi"),
        )
        return job(pod, self.child(server))
