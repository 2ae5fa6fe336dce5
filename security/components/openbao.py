"""OpenBao: one server on a volume that unseals itself, and the job that makes it hold what the program says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac import v1 as rbac

from refsys.platform.components import Platform
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import CA, certificate_files, config_files, secret_files
from refsys.platform.components.context import Context
from refsys.platform.components.names import GATEWAY, OPENBAO, OPENBAO_PORT, OPENBAO_SETUP
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Pod,
    Resources,
    claim_mount,
    config_mount,
    http_probes,
    scratch_mount,
    secret_mount,
)
from refsys.platform.components.postgresql_config import CREDENTIALS_ROLE
from refsys.platform.components.secrets import CA_DIRECTORY, CA_FILE, TOKEN_FILE, URL, api_token_mount, token_mount
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import job, service, stateful_set
from refsys.security.components.openbao_config import (
    CONFIG_DIRECTORY,
    DATA_DIRECTORY,
    SEAL_DIRECTORY,
    SEAL_KEY,
    TLS_DIRECTORY,
    Holder,
    server_hcl,
    wanted,
)

SCRIPT = "openbao_setup.py"
SETUP_DIRECTORY = "/etc/refsys/setup"
CONFIG_FILE = "openbao.hcl"
HEALTH = "/v1/sys/health?standbyok=true"
LIVE = f"{HEALTH}&sealedcode=200&uninitcode=200"
START_SECONDS = 120


@dataclass(frozen=True)
class OpenBaoArgs:
    """Arguments of `OpenBao`."""

    context: Context
    platform: Platform
    seal_key: pulumi.Input[str]
    """256 bits in base64: who has it and the volume, or a backup, has everything."""
    size: str = "5Gi"


class OpenBao(Component):
    """OpenBao at `https://openbao.security.svc:8200`."""

    def __init__(self, name: str, args: OpenBaoArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the server."""
        super().__init__("OpenBao", name, args.context, opts, package="security")
        self._context, self._platform = args.context, args.platform
        self._after = [*self._after, *args.platform.namespaces.ready]
        certificate = args.context.authority.issue(OPENBAO.name, dns_names=OPENBAO.dns_names, parent=self)
        self.ca = config_files(OPENBAO, "authority", {CA: certificate.ca_pem}, self.child())
        tls = secret_files(OPENBAO, "openbao-tls", certificate_files(certificate), self.child())
        seal = secret_files(OPENBAO, "openbao-seal", {SEAL_KEY: args.seal_key}, self.child())
        config = config_files(OPENBAO, "openbao-config", {CONFIG_FILE: server_hcl()}, self.child())
        volume = Volume(OPENBAO.label, VolumeArgs(args.context, OPENBAO, args.size), self.child())
        service(OPENBAO, {"https": OPENBAO_PORT}, self.child(), headless=True)
        self._may_review()
        pod = Pod(
            OPENBAO,
            image=args.context.image("openbao"),
            user=UNPRIVILEGED_USER,
            args=("server", f"-config={CONFIG_DIRECTORY}/{CONFIG_FILE}"),
            mounts=(
                config_mount("config", CONFIG_DIRECTORY, config),
                secret_mount("tls", TLS_DIRECTORY, tls),
                secret_mount("seal", SEAL_DIRECTORY, seal),
                api_token_mount(),
                claim_mount("data", DATA_DIRECTORY, volume.claim),
                scratch_mount("temporary", "/tmp", "64Mi"),  # noqa: S108 - the pod's own
            ),
            files=(config, tls, seal),
            ports={"https": OPENBAO_PORT},
            probes=http_probes(
                OPENBAO_PORT, ready=HEALTH, live=LIVE, started=HEALTH, scheme="HTTPS", start_seconds=START_SECONDS
            ),
            resources=Resources(cpu="50m", memory="192Mi", memory_limit="512Mi"),
        )
        self.server = stateful_set(pod, self.child())
        self.register_outputs({"url": URL})

    def hand_over(self, holders: Sequence[Holder], parent: Component) -> pulumi.Resource:
        """Make policies, roles and engines for `holders` and the gateway, and hand their values over.

        The job belongs to `parent`; who logs in waits for it.
        """
        context = self._context
        opts = parent.child(*self._platform.namespaces.ready, self.server, self._platform.postgresql.ready)
        served = self._platform.gateway
        gateway = Holder(GATEWAY, dns_names=tuple(served.hosts), values=served.secrets)
        known = [*holders, gateway]
        authority = context.authority.intermediate("openbao", parent)
        script = Path(__file__).with_name(SCRIPT).read_text(encoding="utf-8")
        files = config_files(
            OPENBAO_SETUP,
            "openbao-setup",
            {SCRIPT: script, "wanted.json": json.dumps(wanted(known), indent=1)},
            opts,
        )
        content = pulumi.Output.json_dumps(
            {
                "authority": pulumi.Output.concat(authority.key_pem, authority.certificate_pem),
                "database_password": self._platform.postgresql.passwords[CREDENTIALS_ROLE],
                "values": {holder.name: dict(holder.values) for holder in known if holder.values},
            }
        )
        secrets = secret_files(OPENBAO_SETUP, "openbao-setup", {"secrets.json": content}, opts)
        pod = Pod(
            OPENBAO_SETUP,
            image=context.image("services"),
            user=UNPRIVILEGED_USER,
            command=("python3", f"{SETUP_DIRECTORY}/{SCRIPT}"),
            env={
                "OPENBAO_URL": URL,
                "OPENBAO_CA_FILE": CA_FILE,
                "OPENBAO_TOKEN_FILE": TOKEN_FILE,
                "WANTED_FILE": f"{SETUP_DIRECTORY}/wanted.json",
                "SECRETS_FILE": f"{SETUP_DIRECTORY}-secrets/secrets.json",
            },
            mounts=(
                config_mount("files", SETUP_DIRECTORY, files),
                secret_mount("secrets", f"{SETUP_DIRECTORY}-secrets", secrets),
                config_mount("ca", CA_DIRECTORY, self.ca),
                token_mount(),
                scratch_mount("temporary", "/tmp", "16Mi"),  # noqa: S108 - the pod's own
            ),
            files=(files, secrets, self.ca),
            resources=Resources(cpu="10m", memory="32Mi", memory_limit="128Mi"),
        )
        return job(pod, opts)

    def _may_review(self) -> None:
        """Let the server ask the API server whose a token is, and nothing else."""
        group, name = "rbac.authorization.k8s.io", "refsys:openbao"
        role = rbac.ClusterRole(
            name,
            metadata=ObjectMetaArgs(name=name),
            rules=[
                rbac.PolicyRuleArgs(api_groups=["authentication.k8s.io"], resources=["tokenreviews"], verbs=["create"])
            ],
            opts=self.child(),
        )
        rbac.ClusterRoleBinding(
            name,
            metadata=ObjectMetaArgs(name=name),
            role_ref=rbac.RoleRefArgs(api_group=group, kind="ClusterRole", name=name),
            subjects=[rbac.SubjectArgs(kind="ServiceAccount", name=OPENBAO.name, namespace=OPENBAO.namespace)],
            opts=self.child(role),
        )
