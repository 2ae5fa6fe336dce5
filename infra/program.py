"""From the environment's model to its resources, layer by layer."""

import os
from collections.abc import Sequence
from functools import partial

import pulumi
import pulumi_kubernetes

from refsys.infra import detection, paths
from refsys.infra import environment as environments
from refsys.infra.alerts import alerting_of, networks_of_alerts
from refsys.infra.clouds.select import cloud_of
from refsys.infra.demo_station import DemoStations, with_window
from refsys.infra.environment import SPACE, Environment
from refsys.infra.errors import UserError
from refsys.infra.files import EnvironmentFile
from refsys.infra.hosting import application_args
from refsys.infra.images import Image
from refsys.infra.infrastructure import Infrastructure, gateway_hosts
from refsys.infra.inventory import (
    CONTROL_PLANE,
    KUBECONFIG_FILE,
    REGISTRY_USER,
    Secrets,
    registry_of,
    volume_node_of,
)
from refsys.infra.kubeconfig import operators_kubeconfig
from refsys.infra.layers import VARIABLE, reaches
from refsys.infra.passwords import encryption_key, password
from refsys.infra.people import outside_of, people_of
from refsys.infra.pki import Authority
from refsys.infra.playbook import Playbook
from refsys.infra.reached import Reached
from refsys.infra.signing import SignedImages, SigningKey
from refsys.infra.stations import network_of, networks_of, station_of
from refsys.monitoring.components import (
    Alertmanager,
    AlertmanagerArgs,
    Blackbox,
    BlackboxArgs,
    KubeStateMetrics,
    KubeStateMetricsArgs,
    LogStore,
    LogStoreArgs,
    MetricsHistory,
    MetricsHistoryArgs,
    Prices,
    ProbedStation,
    Prometheus,
    PrometheusArgs,
    targets,
)
from refsys.platform.components import Context, Mirror, NodeLogins, Platform, PlatformArgs
from refsys.platform.components.flows import StationNetwork
from refsys.platform.components.names import API_SERVER_PORT, PROCESSING_POOL
from refsys.platform.components.realm import DEMO_USER, issuer_of, portal_url
from refsys.security.components import Admission, AdmissionArgs, OpenBao, OpenBaoArgs, OperatorRoles
from refsys.services.components import (
    PROCESSORS,
    Application,
    Chain,
    ChainArgs,
    Quota,
    Routing,
    RoutingRemote,
    Station,
    connected,
)

CLUSTER_IMAGES = (
    "pause",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "coredns",
    "calico-cni",
    "calico-node",
    "calico-kube-controllers",
)
PLATFORM_IMAGES = (
    "postgresql",
    "kafka",
    "object-store",
    "openldap",
    "keycloak",
    "gateway",
    "clamav",
    "openbao",
    "opensearch",
    "alertmanager",
    "prometheus",
    "exporters",
    "statsd-exporter",
    "kube-state-metrics",
    "services",
    *PROCESSORS,
)
HISTORY_IMAGE = "thanos"
"""Only of environments that keep metrics for years."""


def environment_of_stack() -> Environment:
    """The environment of the stack that the engine is running."""
    config = pulumi.runtime.config.CONFIG.get()
    values = {key.removeprefix(SPACE): value for key, value in config.items() if key.startswith(SPACE)}
    if until := os.environ.get(VARIABLE):
        values["until"] = until
    return Environment.parse(pulumi.get_stack(), values)


def wire(environment: Environment) -> None:
    """Declare every resource of the environment, up to its layer."""
    cloud = cloud_of(environment)
    cloud.preflight()
    detection.check(environment, cloud)
    _check_control_plane(environment)
    Reached(environment.name, environment.until)
    pulumi.export("until", environment.until)
    authority = Authority(environment.name)
    infrastructure = Infrastructure(environment, cloud, authority)
    if not reaches(environment.until, "cluster"):
        return
    cluster = Cluster(environment, authority, infrastructure)
    files = _Files(environment, authority, cluster)
    if not reaches(environment.until, "platform"):
        return
    demo = DemoStations(environment, cloud, authority) if environment.demo else None
    platform = _platform(environment, authority, cluster, demo)
    if reaches(environment.until, "chain"):
        _endpoints(environment, files, cluster, platform, demo)


def _check_control_plane(environment: Environment) -> None:
    """Refuse more than one node where a cluster is made: the roles would make a cluster of each."""
    nodes = [name for pool in environment.settings.pools() if pool.role == CONTROL_PLANE for name in pool.names]
    if len(nodes) > 1 and reaches(environment.until, "cluster"):
        raise UserError(
            f"{environment.name} has {len(nodes)} nodes of the control plane ({', '.join(nodes)}), and clusters are "
            "made with one so far",
            fix="give it one, or stop below: refsys:until: infrastructure",
        )


class Cluster:
    """Nodes set up by Ansible, the registry with the distribution's images, and Kubernetes."""

    def __init__(self, environment: Environment, authority: Authority, infrastructure: Infrastructure) -> None:
        """Set the nodes up, fill the registry, make the cluster."""
        self.authority = authority
        self.machines, inventory = infrastructure.machines, infrastructure.inventory
        self.registry = registry_of(environment)
        self.registry_password = password("registry")
        self.signing_key = SigningKey(environment.name)
        self.secrets = secrets = Secrets(environment, authority, self.registry_password)
        nodes = Playbook(
            "nodes",
            environment=environment.name,
            inventory=inventory,
            secrets=secrets.of_nodes(),
            serves=[self.registry],
            opts=pulumi.ResourceOptions(depends_on=infrastructure.ready),
        )
        self._nodes = nodes
        binaries = Playbook(
            "binaries",
            environment=environment.name,
            inventory=inventory,
            secrets={},
            tools=["kubernetes"],
        )
        cluster_images = [self.image(name) for name in CLUSTER_IMAGES]
        kubeconfig = str(paths.environment_home(environment.name) / KUBECONFIG_FILE)
        self.playbook = Playbook(
            "cluster",
            environment=environment.name,
            inventory=inventory,
            secrets=secrets.of_cluster(),
            fetch={"kubeconfig": kubeconfig},
            remove_with="remove-node",
            opts=pulumi.ResourceOptions(depends_on=[nodes, binaries, *cluster_images]),
        )
        observe = Playbook(
            "observe",
            environment=environment.name,
            inventory=inventory,
            secrets=secrets.of_observation(),
            opts=pulumi.ResourceOptions(depends_on=[nodes]),
        )
        # Files are taken for right as the others leave them; nothing waits for this one.
        Playbook(
            "integrity",
            environment=environment.name,
            inventory=inventory,
            secrets={},
            opts=pulumi.ResourceOptions(depends_on=[self.playbook, observe]),
        )
        self.kubeconfig = self.playbook.result("kubeconfig")
        every = {**secrets.of_nodes(), **secrets.of_cluster(), **secrets.of_observation()}
        pulumi.export("playbook_secrets", pulumi.Output.secret(every))
        pulumi.export("break_glass_password", secrets.break_glass_password)
        self.provider = pulumi_kubernetes.Provider(
            "kubernetes",
            kubeconfig=self.kubeconfig,
            cluster_identifier=environment.name,
            delete_unreachable=True,
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
        )

    def signed(self, references: Sequence[pulumi.Input[str]]) -> SignedImages:
        """Those images, when their signatures were found right."""
        return SignedImages(
            references=references,
            public_key_pem=self.signing_key.public_key_pem,
            registry=self.registry,
            ca_pem=self.authority.ca_pem,
            username=REGISTRY_USER,
            password=self.registry_password,
        )

    def image(self, name: str) -> Image:
        """The distribution's image of that name, in the environment's registry."""
        return Image(
            name,
            registry=self.registry,
            ca_pem=self.authority.ca_pem,
            username=REGISTRY_USER,
            password=self.registry_password,
            signing_key=self.signing_key,
            opts=pulumi.ResourceOptions(depends_on=[self._nodes], deleted_with=self.machines[0].resource),
        )


def _platform(environment: Environment, authority: Authority, cluster: Cluster, demo: DemoStations | None) -> Platform:
    # With its node the whole cluster goes; asking it to remove every object first would only take time.
    goes_with = partial(_goes_with, cluster.machines[0].resource)
    opts = pulumi.ResourceOptions(transformations=[goes_with])
    context = Context(
        provider=cluster.provider,
        domain=environment.domain,
        images={name: cluster.image(name).reference for name in _platform_images(environment)},
        authority=authority,
        passwords=password,
        volume_node=volume_node_of(cluster.machines).name,
    )
    stations = [station_of(station) for station in environment.stations] + (demo.stations if demo else [])
    networks = [network for station in environment.stations for network in networks_of(station)]
    networks += demo.networks if demo else []
    routed = [StationNetwork(network.cidr, network.port) for network in environment.routing.networks]
    arguments = PlatformArgs(
        context,
        networks,
        demo_user=environment.demo,
        routing_networks=routed,
        signatures=_mirror(environment.virus_scan),
        people=people_of(environment),
        outside_directory=outside_of(environment.directory),
        node_logins=NodeLogins(environment.network, cluster.secrets.directory_password),
        uploaders_ca_pem=environment.perimeter.uploaders_ca_pem,
        alert_networks=networks_of_alerts(environment.alerts),
        metrics_history=environment.metrics_history,
        applications=[declared.hosted() for declared in environment.applications],
        api_servers=[
            StationNetwork(f"{machine.address}/32", API_SERVER_PORT)
            for machine in cluster.machines
            if machine.role == CONTROL_PLANE
        ],
    )
    signed = cluster.signed([*context.images.values(), *_foreign_images(environment)]).allowed
    admission = Admission("admission", AdmissionArgs(context, f"{cluster.registry}/refsys", signed), opts)
    OperatorRoles("operator-roles", context, opts)
    after_admission = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=admission.ready))
    # Everything else waits for the platform's namespaces, and so for admission.
    platform = Platform("platform", arguments, after_admission)
    openbao = OpenBao("openbao", OpenBaoArgs(context, platform, encryption_key("openbao-seal")), opts)
    LogStore("log-store", LogStoreArgs(context, platform), opts)
    alerting = alerting_of(environment.alerts)
    Alertmanager("alertmanager", AlertmanagerArgs(context, platform, alerting), opts)
    KubeStateMetrics("kube-state-metrics", KubeStateMetricsArgs(context, platform), opts)
    authorities = [station.ca_pem for station in stations if station.ca_pem is not None]
    Blackbox("blackbox", BlackboxArgs(context, platform, authorities), opts)
    windows = environment.sampling.model_dump()
    hosted = [connected(each, platform, authority, platform) for each in arguments.applications]
    chain_args = ChainArgs(
        context,
        platform,
        openbao,
        stations,
        with_window(windows) if demo else windows,
        _routing(environment.routing),
        _quotas(environment.production),
        environment.on_demand.model_dump(),
        environment.metrics_history,
        hosted,
        jobs_pool=PROCESSING_POOL if environment.settings.jobs_pool() else None,
    )
    history = None
    if reaches(environment.until, "chain"):
        chain = Chain("chain", chain_args, opts)
        for declared, found in zip(environment.applications, hosted, strict=True):
            Application(declared.name, application_args(declared, found, context, platform, chain), opts)
        if environment.metrics_history:
            of_history = MetricsHistoryArgs(context, platform, chain.buckets)
            history = MetricsHistory("metrics-history", of_history, opts).bucket
    probed = targets(environment.domain, gateway_hosts(environment), _probed(stations))
    prices = Prices(**environment.prices.model_dump())
    prometheus = PrometheusArgs(context, platform, probed=probed, prices=prices, history=history)
    Prometheus("prometheus", prometheus, opts)
    return platform


def _platform_images(environment: Environment) -> tuple[str, ...]:
    history = (HISTORY_IMAGE,) if environment.metrics_history else ()
    own = [declared.image for declared in environment.applications if declared.of_distribution]
    return tuple(dict.fromkeys((*PLATFORM_IMAGES, *history, *own)))


def _foreign_images(environment: Environment) -> list[str]:
    return [image for declared in environment.applications for image in declared.foreign_images]


def _probed(stations: Sequence[Station]) -> list[ProbedStation]:
    return [
        ProbedStation(station.name, station.url, station.ca_pem is not None)
        for station in stations
        if isinstance(station.url, str)
    ]


def _mirror(scan: environments.VirusScan) -> Mirror | None:
    return Mirror(scan.mirror, network_of(scan.mirror)) if scan.mirror else None


def _goes_with(
    control_plane: pulumi.Resource | None, args: pulumi.ResourceTransformationArgs
) -> pulumi.ResourceTransformationResult | None:
    if control_plane is None or not args.type_.startswith("kubernetes:"):
        return None
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(deleted_with=control_plane))
    return pulumi.ResourceTransformationResult(props=args.props, opts=opts)


def _routing(routing: environments.Routing) -> Routing:
    remotes = [
        RoutingRemote(
            remote.name,
            remote.type,
            remote.options,
            {option: pulumi.Output.secret(value.get_secret_value()) for option, value in remote.secrets.items()},
        )
        for remote in routing.remotes
    ]
    return Routing(remotes, routing.rules, routing.ca_file_pem)


def _quotas(production: environments.Production) -> dict[str, Quota]:
    return {mission: Quota(**quota) for mission, quota in production.model_dump().items()}


class _Files:
    """What the cluster's operators need, in the environment's folder."""

    def __init__(self, environment: Environment, authority: Authority, cluster: Cluster) -> None:
        """Write all of it."""
        self.ca = EnvironmentFile("ca.pem", environment.name, authority.ca_pem)
        self.kubeconfig = EnvironmentFile("kubeconfig", environment.name, cluster.kubeconfig)
        server = f"https://api.{environment.domain}:{API_SERVER_PORT}"
        self.of_operators = operators_kubeconfig(environment, authority, self.ca, server)
        EnvironmentFile("image-signing.pub", environment.name, cluster.signing_key.public_key_pem)


def _endpoints(
    environment: Environment, files: _Files, cluster: Cluster, platform: Platform, demo: DemoStations | None
) -> None:
    issuer = issuer_of(environment.domain)
    client = {
        "prip_url": f"https://prip.{environment.domain}",
        "stac_url": f"https://stac.{environment.domain}",
        "cadip_url": f"https://cadip.{environment.domain}",
        "metadata_url": f"https://metadata.{environment.domain}",
        "ondemand_url": f"https://ondemand.{environment.domain}",
        "operations_url": f"https://operations.{environment.domain}",
        "token_url": f"{issuer}/protocol/openid-connect/token",
        "client_id": "refsys-cli",
        "ca_file": files.ca.path,
    }
    found: dict[str, pulumi.Input[object]] = {
        "environment": environment.name,
        "prip_url": client["prip_url"],
        "auxip_url": f"https://auxip.{environment.domain}",
        "stac_url": client["stac_url"],
        "cadip_url": client["cadip_url"],
        "metadata_url": client["metadata_url"],
        "ingestor_url": f"https://ingestor.{environment.domain}",
        "ondemand_url": client["ondemand_url"],
        "operations_url": client["operations_url"],
        "portal_url": portal_url(environment.domain),
        "issuer": issuer,
        "token_url": client["token_url"],
        "client_id": client["client_id"],
        "ca_file": files.ca.path,
        "kubeconfig": files.kubeconfig.path,
        "operators_kubeconfig": files.of_operators.path,
        "registry": cluster.registry,
    }
    if environment.applications:
        found["applications"] = {
            declared.name: f"https://{declared.host}.{environment.domain}/" for declared in environment.applications
        }
    pulumi.export("first_passwords", pulumi.Output.secret(dict(platform.keycloak.first_passwords)))
    if demo:
        user = {"username": DEMO_USER, "password": platform.keycloak.demo_password}
        found["demo"] = {**client, **user, "stations": demo.endpoints}
    for name, value in found.items():
        pulumi.export(name, pulumi.Output.secret(value) if name == "demo" else value)
    EnvironmentFile("endpoints.json", environment.name, pulumi.Output.json_dumps(found, indent=1))
