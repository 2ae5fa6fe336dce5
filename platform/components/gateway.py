"""The one door from outside: Envoy ends TLS and hands requests on, over verified TLS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import yaml
from pulumi_kubernetes.core import v1 as core

from refsys.platform.components.applications import Hosted
from refsys.platform.components.component import Component
from refsys.platform.components.configuration import CA, config_files, metadata
from refsys.platform.components.context import Context
from refsys.platform.components.gateway_config import Upstream, envoy_config, envoy_secret
from refsys.platform.components.gateway_filters import Realm
from refsys.platform.components.gateway_login import Login, login_secret
from refsys.platform.components.names import (
    CADIP,
    ENVOY_METRICS_PORT,
    GATEWAY,
    GATEWAY_NODE_PORT,
    HEALTH_PORT,
    HTTPS_PORT,
    INGESTOR,
    KEYCLOAK,
    METADATA_SEARCH,
    ONDEMAND,
    OPERATIONS,
    PRIP,
    STAC,
)
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Metrics,
    Pod,
    Resources,
    Sidecar,
    config_mount,
    http_probes,
)
from refsys.platform.components.realm import AUDIENCE, PORTAL_CALLBACK, PORTAL_CLIENT, PORTAL_PATH, endpoints
from refsys.platform.components.secrets import (
    CA_DIRECTORY,
    CA_FILE,
    CERTIFICATE_FILE,
    SECRETS_DIRECTORY,
    secrets_env,
    secrets_mounts,
)
from refsys.platform.components.workload import deployment

CONFIG_DIRECTORY = "/etc/refsys/gateway"
CONFIG_FILE = "envoy.yaml"
SECRET_FILE = "certificate.yaml"  # noqa: S105 - a name
SIDECAR_PORT = 9090
UPLOADERS_CA = "uploaders.crt"
CLIENT_FILE, COOKIES_FILE = "portal-client.json", "portal-cookies.json"
PORTAL = Login(
    PORTAL_CLIENT,
    # Runbooks are linked from the page; what changes something is at neither.
    pages=(PORTAL_PATH, "/operations/v1/runbooks"),
    callback=PORTAL_CALLBACK,
    logout=f"{PORTAL_PATH}/logout",
    client_file=f"{SECRETS_DIRECTORY}/{CLIENT_FILE}",
    cookies_file=f"{SECRETS_DIRECTORY}/{COOKIES_FILE}",
    requests_per_second=10,
)


def upstreams(domain: str, *, uploaders_ca: bool = False) -> tuple[Upstream, ...]:
    """Return what the gateway of `domain` serves; with `uploaders_ca` who uploads must show a certificate."""
    return (
        Upstream(
            PRIP,
            hosts=(f"prip.{domain}", f"auxip.{domain}"),
            paths=("/",),
            timeout="0s",
            requests_per_second=200,
        ),
        Upstream(
            METADATA_SEARCH,
            hosts=(f"metadata.{domain}",),
            paths=("/",),
            timeout="60s",
            requests_per_second=100,
        ),
        Upstream(
            STAC,
            hosts=(f"stac.{domain}",),
            paths=("/",),
            timeout="60s",
            requests_per_second=200,
            # The description of the API.
            open_paths=("/api", "/api.html", "/docs/oauth2-redirect"),
        ),
        Upstream(
            ONDEMAND,
            hosts=(f"ondemand.{domain}",),
            paths=("/ogc",),
            timeout="60s",
            requests_per_second=50,
        ),
        Upstream(
            CADIP,
            hosts=(f"cadip.{domain}",),
            paths=("/",),
            timeout="0s",
            requests_per_second=200,
        ),
        Upstream(
            INGESTOR,
            hosts=(f"ingestor.{domain}",),
            paths=("/ingestor/v1/",),
            timeout="0s",
            requests_per_second=100,
            uploads=True,
            client_ca=f"{CA_DIRECTORY}/{UPLOADERS_CA}" if uploaders_ca else None,
        ),
        Upstream(
            OPERATIONS,
            hosts=(f"operations.{domain}",),
            paths=("/operations/v1/", "/api/v1/failedProcessings"),
            timeout="60s",
            requests_per_second=50,
            login=PORTAL,
        ),
        Upstream(
            KEYCLOAK,
            hosts=(f"auth.{domain}",),
            # The realm's users only: the master realm, the admin console and the metrics stay inside.
            paths=("/realms/refsys/", "/resources/"),
            timeout="30s",
            requests_per_second=50,
            tokens=False,
        ),
    )


def realm_of(domain: str, *, passwords: bool) -> Realm:
    """Return whose tokens the gateway of `domain` takes; with `passwords` also user and password (HTTP Basic)."""
    oidc = endpoints(domain, f"https://{KEYCLOAK.host}:{HTTPS_PORT}")
    return Realm(oidc.issuer, oidc.jwks_url, AUDIENCE, KEYCLOAK.name, passwords)


@dataclass(frozen=True)
class GatewayArgs:
    """Arguments of `Gateway`."""

    context: Context
    portal_secret: pulumi.Input[str]
    """Of the client by which operators log in in a browser."""
    replicas: int = 1
    passwords: bool = False
    """The realm exchanges passwords for tokens, so HTTP Basic may pass."""
    uploaders_ca_pem: str | None = None
    """Authority of the certificates that who uploads must show; without, a token is enough."""
    applications: Sequence[Hosted] = ()
    application_secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Of the clients by which users of applications log in."""


class Gateway(Component):
    """Envoy at node port 32443 of every node."""

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make configuration, certificate, Deployment and Service."""
        context = args.context
        super().__init__("Gateway", name, context, opts)
        uploaders: dict[str, pulumi.Input[str]] = {UPLOADERS_CA: args.uploaders_ca_pem} if args.uploaders_ca_pem else {}
        served = upstreams(context.domain, uploaders_ca=bool(uploaders))
        served += tuple(application.upstream(context.domain, COOKIES_FILE) for application in args.applications)
        self.hosts = [host for upstream in served for host in upstream.hosts]
        self.secrets: Mapping[str, pulumi.Input[str]] = {
            CLIENT_FILE: _secret("client", args.portal_secret),
            COOKIES_FILE: _secret("cookies", context.passwords("gateway-cookies", self)),
            **{
                application.client_file: _secret("client", args.application_secrets[application.login_client])
                for application in args.applications
            },
        }
        """What OpenBao keeps for it."""
        realm = realm_of(context.domain, passwords=args.passwords)
        envoy = envoy_config(served, f"{CONFIG_DIRECTORY}/{SECRET_FILE}", CA_FILE, realm)
        files = {CONFIG_FILE: envoy, SECRET_FILE: envoy_secret(CERTIFICATE_FILE)}
        texts = {name: yaml.safe_dump(content, sort_keys=False) for name, content in files.items()}
        config = config_files(GATEWAY, "gateway-config", texts, self.child())
        ca = config_files(GATEWAY, "authority", {CA: context.authority.ca_pem} | uploaders, self.child())
        pod = Pod(
            GATEWAY,
            image=context.image("gateway"),
            user=UNPRIVILEGED_USER,
            args=(
                "--config-path",
                f"{CONFIG_DIRECTORY}/{CONFIG_FILE}",
                "--concurrency",
                "2",
                "--disable-hot-restart",
                "--log-level",
                "warning",
            ),
            mounts=(
                config_mount("config", CONFIG_DIRECTORY, config),
                config_mount("ca", CA_DIRECTORY, ca),
                *secrets_mounts(),
            ),
            files=(config, ca),
            sidecars=[
                Sidecar(
                    "certificate",
                    {
                        **secrets_env(GATEWAY, values=True, dns_names=self.hosts),
                        "REFSYS_OPERATIONS_PORT": str(SIDECAR_PORT),
                    },
                    Resources(cpu="5m", memory="64Mi", memory_limit="128Mi"),
                    args=["secrets"],
                    image=context.image("services"),
                    makes=CERTIFICATE_FILE,
                )
            ],
            ports={"https": HTTPS_PORT, "health": HEALTH_PORT},
            metrics=(Metrics("metrics-envoy", ENVOY_METRICS_PORT),),
            probes=http_probes(HEALTH_PORT, ready="/healthz", live="/healthz", start_seconds=60),
            resources=Resources(cpu="50m", memory="64Mi", memory_limit="256Mi"),
        )
        deployment(pod, self.child(), replicas=args.replicas)
        core.Service(
            GATEWAY.label,
            metadata=metadata(GATEWAY),
            spec=core.ServiceSpecArgs(
                type="NodePort",
                selector={"app.kubernetes.io/name": GATEWAY.name},
                ports=[
                    core.ServicePortArgs(
                        name="https",
                        port=443,
                        target_port=HTTPS_PORT,
                        node_port=GATEWAY_NODE_PORT,
                        protocol="TCP",
                    )
                ],
            ),
            opts=self.child(),
        )
        self.node_port = GATEWAY_NODE_PORT
        self.register_outputs({"hosts": self.hosts, "node_port": self.node_port})


def _secret(name: str, value: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value).apply(lambda text: login_secret(name, text))
