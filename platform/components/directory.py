"""OpenLDAP: the directory of users and groups that Keycloak and the nodes' sssd read."""

from dataclasses import dataclass

import pulumi

from refsys.platform.components.component import Component
from refsys.platform.components.configuration import certificate_files, config_files, secret_files
from refsys.platform.components.context import Context
from refsys.platform.components.directory_config import (
    DATA_DIRECTORY,
    SECRETS_DIRECTORY,
    TLS_DIRECTORY,
    account,
    groups,
    listeners,
    people,
    slapd_conf,
)
from refsys.platform.components.names import LDAPS_NODE_PORT, LDAPS_PORT, OPENLDAP
from refsys.platform.components.people import ACCOUNTS, Federation
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Pod,
    Resources,
    claim_mount,
    config_mount,
    secret_mount,
    tcp_probes,
)
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import node_port_service, stateful_set

CONFIG_DIRECTORY = "/etc/refsys/openldap"


def directory_host(domain: str) -> str:
    """Return the name by which nodes know the directory."""
    return f"directory.{domain}"


@dataclass(frozen=True)
class Source:
    """Where Keycloak reads users and groups, and what it needs for that."""

    federation: Federation
    password: pulumi.Input[str]
    ca_pem: pulumi.Input[str] | None = None
    """Authority of an outside directory, if it is not the environment's."""


@dataclass(frozen=True)
class DirectoryArgs:
    """Arguments of `Directory`."""

    context: Context
    sssd_password: pulumi.Input[str] | None = None
    """Password of the account by which nodes read it, where it was made before; they are set up first."""
    size: str = "1Gi"


class Directory(Component):
    """slapd at `ldaps://openldap.iam.svc:6636`, and for nodes at node port 32636 of the node that it runs on."""

    def __init__(self, name: str, args: DirectoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make passwords, certificate, volume, StatefulSet and Service."""
        super().__init__("Directory", name, args.context, opts)
        context, domain = args.context, args.context.domain
        self.administrator_password = context.passwords("openldap-administrator", self)
        given = {"sssd": args.sssd_password} if args.sssd_password else {}
        self.account_passwords: dict[str, pulumi.Input[str]] = {
            account: given.get(account) or context.passwords(f"openldap-{account}", self) for account in ACCOUNTS
        }
        self.url = f"ldaps://{OPENLDAP.host}:{LDAPS_PORT}"
        keycloak = account("keycloak", domain)
        federation = Federation(self.url, people(domain), groups(domain), keycloak, writable=True)
        self.source = Source(federation, self.account_passwords["keycloak"])
        names = [*OPENLDAP.dns_names, directory_host(domain)]
        certificate = context.authority.issue(OPENLDAP.name, dns_names=names, parent=self)
        self.ca_pem = certificate.ca_pem
        tls = secret_files(OPENLDAP, "openldap-tls", certificate_files(certificate), self.child())
        config = config_files(OPENLDAP, "openldap-config", {"slapd.conf": slapd_conf(domain)}, self.child())
        secret = pulumi.Output.concat("rootpw ", self.administrator_password, "\n")
        secrets = secret_files(OPENLDAP, "openldap-secrets", {"administrator.conf": secret}, self.child())
        volume = Volume(OPENLDAP.label, VolumeArgs(context, OPENLDAP, args.size), self.child())
        node_port_service(OPENLDAP.name, OPENLDAP, LDAPS_PORT, LDAPS_NODE_PORT, self.child())
        pod = Pod(
            OPENLDAP,
            image=context.image("openldap"),
            user=UNPRIVILEGED_USER,
            args=(listeners(),),
            mounts=(
                config_mount("config", CONFIG_DIRECTORY, config),
                secret_mount("tls", TLS_DIRECTORY, tls),
                secret_mount("secrets", SECRETS_DIRECTORY, secrets),
                claim_mount("data", DATA_DIRECTORY, volume.claim),
            ),
            files=(config, tls, secrets),
            ports={"ldaps": LDAPS_PORT},
            probes=tcp_probes(LDAPS_PORT, start_seconds=60),
            resources=Resources(cpu="10m", memory="24Mi", memory_limit="384Mi"),
        )
        self.ready = stateful_set(pod, self.child())
        self.register_outputs({"url": self.url})
