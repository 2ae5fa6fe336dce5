"""The whole platform: what the chain of services stands on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi

from refsys.platform.components.applications import Hosted, application_flows
from refsys.platform.components.clamav import ClamAv, ClamAvArgs, Mirror
from refsys.platform.components.component import Component
from refsys.platform.components.context import Context
from refsys.platform.components.directory import Directory, DirectoryArgs, Source
from refsys.platform.components.flows import Outside, StationNetwork
from refsys.platform.components.gateway import Gateway, GatewayArgs
from refsys.platform.components.kafka import Kafka, KafkaArgs
from refsys.platform.components.keycloak import Keycloak, KeycloakArgs
from refsys.platform.components.namespaces import Namespaces, NamespacesArgs
from refsys.platform.components.object_store import METRICS_ACCOUNT, ObjectStore, ObjectStoreArgs
from refsys.platform.components.people import People
from refsys.platform.components.postgresql import PostgreSql, PostgreSqlArgs
from refsys.platform.components.volume import LocalStorageClass


@dataclass(frozen=True)
class NodeLogins:
    """How the nodes' sssd reads the own directory: from which network, and with which password."""

    network: str
    password: pulumi.Input[str]


@dataclass(frozen=True)
class PlatformArgs:
    """Arguments of `Platform`."""

    context: Context
    station_networks: Sequence[StationNetwork] = ()
    """Where the chain may reach stations; nothing else outside the cluster is open to it."""
    demo_user: bool = False
    gateway_replicas: int = 1
    routing_networks: Sequence[StationNetwork] = ()
    """Where the router may reach sources and targets."""
    signatures: Mirror | None = None
    """Where virus signatures come from; without, there is only that of the EICAR test file."""
    people: People = field(default_factory=People)
    """Who uses the environment."""
    outside_directory: tuple[Source, StationNetwork] | None = None
    """A directory that is there already, in place of an own one, and where it is."""
    node_logins: NodeLogins | None = None
    uploaders_ca_pem: str | None = None
    """Authority of the certificates that who uploads must show; without, a token is enough."""
    api_servers: Sequence[StationNetwork] = ()
    """Where the API server is reached on its nodes; only what comes with the nodes may talk to it."""
    alert_networks: Sequence[StationNetwork] = ()
    """Where Alertmanager may reach those whom it tells."""
    metrics_history: bool = False
    """Whether metrics are kept for years, in the object store."""
    applications: Sequence[Hosted] = ()


class Platform(Component):
    """Namespaces, flows, PostgreSQL, Kafka, object store, ClamAV, directory, Keycloak, gateway, side by side."""

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make all of it."""
        super().__init__("Platform", name, args.context, opts)
        context = args.context
        self.namespaces = Namespaces(
            "namespaces",
            NamespacesArgs(
                context,
                Outside(
                    args.station_networks,
                    args.routing_networks,
                    args.signatures.network if args.signatures else None,
                    args.api_servers,
                    nodes=args.node_logins.network if args.node_logins else None,
                    directory=args.outside_directory[1] if args.outside_directory else None,
                    alerts=args.alert_networks,
                    metrics_history=args.metrics_history,
                    applications=application_flows(args.applications),
                ),
            ),
            self.child(),
        )
        ready = [*self.namespaces.ready]
        if context.volume_node is not None:
            ready.append(LocalStorageClass("local", context, self.child()))
        after = pulumi.ResourceOptions(parent=self, depends_on=ready)
        of_database = [application.database_role for application in args.applications if application.database]
        self.postgresql = PostgreSql("postgresql", PostgreSqlArgs(context, applications=of_database), after)
        self.kafka = Kafka("kafka", KafkaArgs(context), after)
        accounts = [METRICS_ACCOUNT] if args.metrics_history else []
        accounts += [application.bucket for application in args.applications if application.object_store]
        self.object_store = ObjectStore("object-store", ObjectStoreArgs(context, accounts=accounts), after)
        ClamAv("clamav", ClamAvArgs(context, args.signatures), after)
        directory = DirectoryArgs(context, args.node_logins.password if args.node_logins else None)
        self.directory = None if args.outside_directory else Directory("directory", directory, after)
        source = self._source(args)
        keycloak = KeycloakArgs(
            context, self.postgresql, source, self.directory, args.people, args.demo_user, args.applications
        )
        self.keycloak = Keycloak("keycloak", keycloak, after)
        portal = self.keycloak.portal_secret
        gateway = GatewayArgs(
            context,
            portal,
            args.gateway_replicas,
            args.demo_user,
            args.uploaders_ca_pem,
            args.applications,
            self.keycloak.application_secrets,
        )
        self.gateway = Gateway("gateway", gateway, after)
        self.register_outputs({"hosts": self.gateway.hosts, "node_port": self.gateway.node_port})

    def _source(self, args: PlatformArgs) -> Source:
        if args.outside_directory:
            return args.outside_directory[0]
        assert self.directory is not None  # noqa: S101 - there is one of the two
        return self.directory.source
