"""The one table of what may talk to what; both ends' network policies come from it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking import v1 as networking

from refsys.platform.components.names import (
    ALERTMANAGER,
    ALERTMANAGER_PORT,
    API_CLIENTS,
    BLACKBOX,
    BLACKBOX_PORT,
    BUCKETS,
    CADIP,
    CALICO_CONTROLLERS,
    CALICO_CONTROLLERS_METRICS_PORT,
    CATALOGUE,
    CLAMAV,
    CLAMAV_METRICS_PORT,
    CLAMAV_PORT,
    COMPRESSION_FILTER,
    COMPRESSION_WORKER,
    COREDNS,
    COREDNS_METRICS_PORT,
    DETECTOR,
    DLQ,
    DNS_PORT,
    ENVOY_METRICS_PORT,
    EXECUTION,
    EXPORTER,
    GATEWAY,
    HEALTH_PORT,
    HTTPS_PORT,
    INGESTION_TRIGGER,
    INGESTION_WORKER,
    INGESTOR,
    JOBS,
    KAFKA,
    KAFKA_LAG,
    KAFKA_METRICS_PORT,
    KAFKA_NODES_PORT,
    KAFKA_PORT,
    KEYCLOAK,
    KEYCLOAK_MANAGEMENT_PORT,
    KEYCLOAK_REALM,
    KPI,
    KUBE_STATE_METRICS,
    KUBE_STATE_METRICS_PORT,
    LDAPS_PORT,
    LIFECYCLE,
    LOG_INDEXER,
    LOG_STORE,
    LOG_STORE_PORT,
    METADATA_SEARCH,
    MIGRATE,
    NODE_METRICS_PORTS,
    NOTIFIER,
    OBJECT_STORE,
    OBJECT_STORE_METRICS_PORT,
    OBJECT_STORE_PORT,
    ONDEMAND,
    OPENBAO,
    OPENBAO_BACKUP,
    OPENBAO_PORT,
    OPENBAO_SETUP,
    OPENLDAP,
    OPERATIONS,
    POSTGRESQL,
    POSTGRESQL_METRICS_PORT,
    POSTGRESQL_PORT,
    POSTGRESQL_ROLES,
    PREPARATION,
    PRIP,
    PROCESS_PORT,
    PROMETHEUS,
    PROMETHEUS_PORT,
    PUBLISHER,
    RECONCILE,
    ROUTER,
    STAC,
    THANOS_COMPACTOR,
    THANOS_GRPC_PORT,
    THANOS_METRICS_PORT,
    THANOS_QUERY,
    THANOS_QUERY_PORT,
    THANOS_STORE,
    TOPICS,
    App,
)

PUBLIC_HTTPS_PORT = 443


@dataclass(frozen=True)
class Network:
    """Addresses outside the cluster, in CIDR notation."""

    cidr: str


Peer = App | Network


@dataclass(frozen=True)
class Flow:
    """`source` may open connections to `port` (the container's) of `target`, or those up to `end_port`."""

    source: Peer
    target: Peer
    port: int
    end_port: int | None = None
    protocol: Literal["TCP", "UDP"] = "TCP"


@dataclass(frozen=True)
class StationNetwork:
    """Where a station, a routing rule's remote, or a mirror is reached: a port, or those from it up to `end_port`."""

    cidr: str
    port: int
    end_port: int | None = None


ANYWHERE = Network("0.0.0.0/0")

PROCESSES = (
    INGESTION_TRIGGER,
    INGESTION_WORKER,
    CATALOGUE,
    COMPRESSION_FILTER,
    COMPRESSION_WORKER,
    PREPARATION,
    ROUTER,
    PUBLISHER,
    PRIP,
    METADATA_SEARCH,
    STAC,
    ONDEMAND,
    CADIP,
    NOTIFIER,
    INGESTOR,
    EXECUTION,
    LIFECYCLE,
    DLQ,
    OPERATIONS,
    LOG_INDEXER,
    KPI,
    DETECTOR,
    EXPORTER,
)
"""Processes of the chain that run for ever."""

HOLDERS = (
    *(GATEWAY, OPENBAO_BACKUP, OPENBAO_SETUP, MIGRATE, TOPICS, BUCKETS, RECONCILE, KAFKA_LAG),
    *JOBS.values(),
    *PROCESSES,
)
"""Who logs in to OpenBao, by a token that opens nothing else."""

SCRAPED = (
    *((app, PROCESS_PORT) for app in PROCESSES),
    (KEYCLOAK, KEYCLOAK_MANAGEMENT_PORT),
    *((app, ENVOY_METRICS_PORT) for app in (GATEWAY, LOG_STORE, ALERTMANAGER, PROMETHEUS)),
    (ALERTMANAGER, HEALTH_PORT),
    (PROMETHEUS, HEALTH_PORT),
    (POSTGRESQL, POSTGRESQL_METRICS_PORT),
    (KAFKA, KAFKA_METRICS_PORT),
    (KAFKA_LAG, PROCESS_PORT),
    (OBJECT_STORE, OBJECT_STORE_METRICS_PORT),
    (EXPORTER, CLAMAV_METRICS_PORT),
    (KUBE_STATE_METRICS, KUBE_STATE_METRICS_PORT),
    (COREDNS, COREDNS_METRICS_PORT),
    (CALICO_CONTROLLERS, CALICO_CONTROLLERS_METRICS_PORT),
)
"""Where Prometheus asks pods for metrics: what `Pod.metrics` declares, and of the cluster what has a port for them."""

SCRAPED_OF_HISTORY = (
    (PROMETHEUS, THANOS_METRICS_PORT),
    (THANOS_STORE, THANOS_METRICS_PORT),
    (THANOS_COMPACTOR, THANOS_METRICS_PORT),
    (THANOS_QUERY, HEALTH_PORT),
    (THANOS_QUERY, ENVOY_METRICS_PORT),
)
"""The same, of what is there only where metrics are kept for years."""

FLOWS = (
    Flow(ANYWHERE, GATEWAY, HTTPS_PORT),
    Flow(GATEWAY, KEYCLOAK, HTTPS_PORT),
    Flow(GATEWAY, PRIP, HTTPS_PORT),
    Flow(GATEWAY, METADATA_SEARCH, HTTPS_PORT),
    Flow(GATEWAY, STAC, HTTPS_PORT),
    Flow(GATEWAY, ONDEMAND, HTTPS_PORT),
    Flow(GATEWAY, CADIP, HTTPS_PORT),
    Flow(GATEWAY, INGESTOR, HTTPS_PORT),
    Flow(GATEWAY, OPERATIONS, HTTPS_PORT),
    Flow(POSTGRESQL_ROLES, POSTGRESQL, POSTGRESQL_PORT),
    Flow(KEYCLOAK, POSTGRESQL, POSTGRESQL_PORT),
    Flow(KEYCLOAK_REALM, KEYCLOAK, HTTPS_PORT),
    Flow(MIGRATE, POSTGRESQL, POSTGRESQL_PORT),
    Flow(TOPICS, KAFKA, KAFKA_PORT),
    Flow(BUCKETS, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(INGESTION_TRIGGER, POSTGRESQL, POSTGRESQL_PORT),
    Flow(INGESTION_TRIGGER, KAFKA, KAFKA_PORT),
    Flow(INGESTION_TRIGGER, OBJECT_STORE, OBJECT_STORE_PORT),  # the bucket of accepted uploads is a station
    Flow(INGESTION_WORKER, POSTGRESQL, POSTGRESQL_PORT),
    Flow(INGESTION_WORKER, KAFKA, KAFKA_PORT),
    Flow(INGESTION_WORKER, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(INGESTION_WORKER, CLAMAV, CLAMAV_PORT),
    Flow(CATALOGUE, POSTGRESQL, POSTGRESQL_PORT),
    Flow(CATALOGUE, KAFKA, KAFKA_PORT),
    Flow(CATALOGUE, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(COMPRESSION_FILTER, KAFKA, KAFKA_PORT),
    Flow(COMPRESSION_WORKER, POSTGRESQL, POSTGRESQL_PORT),
    Flow(COMPRESSION_WORKER, KAFKA, KAFKA_PORT),
    Flow(COMPRESSION_WORKER, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(PREPARATION, POSTGRESQL, POSTGRESQL_PORT),
    Flow(PREPARATION, KAFKA, KAFKA_PORT),
    Flow(PREPARATION, OBJECT_STORE, OBJECT_STORE_PORT),  # masks
    Flow(ROUTER, POSTGRESQL, POSTGRESQL_PORT),
    Flow(PUBLISHER, POSTGRESQL, POSTGRESQL_PORT),
    Flow(PUBLISHER, KAFKA, KAFKA_PORT),
    Flow(PRIP, POSTGRESQL, POSTGRESQL_PORT),
    Flow(PRIP, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(PRIP, KEYCLOAK, HTTPS_PORT),
    Flow(PRIP, KAFKA, KAFKA_PORT),  # as all that have to do with products: their steps
    Flow(METADATA_SEARCH, POSTGRESQL, POSTGRESQL_PORT),
    Flow(METADATA_SEARCH, KAFKA, KAFKA_PORT),
    Flow(METADATA_SEARCH, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(METADATA_SEARCH, KEYCLOAK, HTTPS_PORT),
    Flow(STAC, POSTGRESQL, POSTGRESQL_PORT),
    Flow(STAC, KEYCLOAK, HTTPS_PORT),
    Flow(ONDEMAND, POSTGRESQL, POSTGRESQL_PORT),
    Flow(ONDEMAND, KEYCLOAK, HTTPS_PORT),
    Flow(CADIP, POSTGRESQL, POSTGRESQL_PORT),
    Flow(CADIP, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(CADIP, KEYCLOAK, HTTPS_PORT),
    Flow(CADIP, KAFKA, KAFKA_PORT),
    Flow(NOTIFIER, POSTGRESQL, POSTGRESQL_PORT),
    Flow(NOTIFIER, KAFKA, KAFKA_PORT),
    # Users' endpoints; the notifier itself refuses addresses that are not public.
    Flow(NOTIFIER, ANYWHERE, PUBLIC_HTTPS_PORT),
    Flow(INGESTOR, POSTGRESQL, POSTGRESQL_PORT),
    Flow(INGESTOR, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(INGESTOR, KEYCLOAK, HTTPS_PORT),
    Flow(INGESTOR, KAFKA, KAFKA_PORT),
    Flow(INGESTOR, CLAMAV, CLAMAV_PORT),
    Flow(EXECUTION, POSTGRESQL, POSTGRESQL_PORT),
    Flow(EXECUTION, KAFKA, KAFKA_PORT),
    Flow(EXECUTION, OBJECT_STORE, OBJECT_STORE_PORT),
    *(Flow(jobs, OBJECT_STORE, OBJECT_STORE_PORT) for jobs in JOBS.values()),
    Flow(LIFECYCLE, POSTGRESQL, POSTGRESQL_PORT),
    Flow(LIFECYCLE, KAFKA, KAFKA_PORT),
    Flow(LIFECYCLE, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(RECONCILE, POSTGRESQL, POSTGRESQL_PORT),
    Flow(RECONCILE, KAFKA, KAFKA_PORT),
    Flow(RECONCILE, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(DLQ, POSTGRESQL, POSTGRESQL_PORT),
    Flow(DLQ, KAFKA, KAFKA_PORT),
    Flow(OPERATIONS, POSTGRESQL, POSTGRESQL_PORT),
    Flow(OPERATIONS, KEYCLOAK, HTTPS_PORT),
    Flow(OPERATIONS, LOG_STORE, LOG_STORE_PORT),
    Flow(OPERATIONS, ALERTMANAGER, ALERTMANAGER_PORT),
    Flow(LOG_INDEXER, KAFKA, KAFKA_PORT),
    Flow(LOG_INDEXER, LOG_STORE, LOG_STORE_PORT),
    Flow(KPI, KAFKA, KAFKA_PORT),
    Flow(KPI, POSTGRESQL, POSTGRESQL_PORT),
    Flow(DETECTOR, LOG_STORE, LOG_STORE_PORT),
    Flow(DETECTOR, ALERTMANAGER, ALERTMANAGER_PORT),
    *(Flow(holder, OPENBAO, OPENBAO_PORT) for holder in HOLDERS),
    Flow(OPENBAO, POSTGRESQL, POSTGRESQL_PORT),  # makes and ends the short-lived users
    Flow(OPENBAO_BACKUP, OBJECT_STORE, OBJECT_STORE_PORT),
    *(Flow(PROMETHEUS, app, port) for app, port in SCRAPED),
    Flow(PROMETHEUS, OPENBAO, OPENBAO_PORT),  # its metrics are a part of its API
    Flow(PROMETHEUS, ALERTMANAGER, ALERTMANAGER_PORT),
    Flow(OPERATIONS, PROMETHEUS, PROMETHEUS_PORT),
    Flow(KAFKA_LAG, KAFKA, KAFKA_PORT),
    Flow(EXPORTER, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(EXPORTER, CLAMAV, CLAMAV_PORT),
    Flow(PROMETHEUS, BLACKBOX, BLACKBOX_PORT),
    Flow(BLACKBOX, GATEWAY, HTTPS_PORT),
    Flow(BLACKBOX, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(BLACKBOX, OPENBAO, OPENBAO_PORT),
    Flow(COREDNS, ANYWHERE, DNS_PORT),
    Flow(COREDNS, ANYWHERE, DNS_PORT, protocol="UDP"),
)


@dataclass(frozen=True)
class Outside:
    """What an environment's config opens outside the cluster."""

    stations: Sequence[StationNetwork] = ()
    routing: Sequence[StationNetwork] = ()
    mirror: StationNetwork | None = None
    api_servers: Sequence[StationNetwork] = ()
    nodes: str | None = None
    """Network of the nodes, whose sssd reads the own directory, whose collectors send logs, and who have metrics."""
    directory: StationNetwork | None = None
    """A directory that is read in place of the own one."""
    alerts: Sequence[StationNetwork] = ()
    """Where people are told of alerts."""
    metrics_history: bool = False
    """Whether metrics are kept for years, in the object store."""
    applications: Sequence[Flow] = ()
    """What hosted applications take part in; each has a namespace of its own."""


def table(outside: Outside) -> tuple[Flow, ...]:
    """Return all flows of an environment; what is not in it is refused."""
    flows = (*FLOWS, *station_flows(outside.stations), *routing_flows(outside.routing), *mirror_flows(outside.mirror))
    flows = (*flows, *directory_flows(outside.directory, outside.nodes), *log_flows(outside.nodes))
    flows = (*flows, *alert_flows(outside.alerts), *node_metrics_flows(outside.nodes))
    flows = (*flows, *history_flows(kept=outside.metrics_history), *outside.applications)
    return (*flows, *name_flows(flows), *api_server_flows(outside.api_servers))


def name_flows(flows: Iterable[Flow]) -> tuple[Flow, ...]:
    """Return the flows of those that call others, and so look up names."""
    callers = {flow.source for flow in flows if isinstance(flow.source, App)} - {COREDNS}
    return tuple(
        flow
        for app in sorted(callers)
        for flow in (Flow(app, COREDNS, DNS_PORT, protocol="UDP"), Flow(app, COREDNS, DNS_PORT))
    )


def api_server_flows(servers: Iterable[StationNetwork]) -> tuple[Flow, ...]:
    """Return the flows to the API server's addresses on its nodes."""
    return tuple(
        Flow(app, Network(server.cidr), server.port)
        for server in servers
        for app in (COREDNS, CALICO_CONTROLLERS, *API_CLIENTS)
    )


def station_flows(stations: Iterable[StationNetwork]) -> tuple[Flow, ...]:
    """Return the flows to stations: the trigger asks for what is new, the worker fetches it, and they are probed."""
    return tuple(
        Flow(source, Network(station.cidr), station.port, station.end_port)
        for station in sorted(set(stations), key=lambda station: (station.cidr, station.port, station.end_port or 0))
        for source in (INGESTION_TRIGGER, INGESTION_WORKER, BLACKBOX)
    )


def routing_flows(remotes: Iterable[StationNetwork]) -> tuple[Flow, ...]:
    """Return the flows to the sources and targets of routing rules."""
    return tuple(
        Flow(ROUTER, Network(remote.cidr), remote.port)
        for remote in sorted(set(remotes), key=lambda remote: (remote.cidr, remote.port))
    )


def mirror_flows(mirror: StationNetwork | None) -> tuple[Flow, ...]:
    """Return the flow to the mirror of virus signatures, if there is one."""
    return (Flow(CLAMAV, Network(mirror.cidr), mirror.port),) if mirror else ()


def alert_flows(receivers: Iterable[StationNetwork]) -> tuple[Flow, ...]:
    """Return the flows to those who are told of alerts."""
    return tuple(Flow(ALERTMANAGER, Network(receiver.cidr), receiver.port) for receiver in receivers)


def directory_flows(outside: StationNetwork | None, nodes: str | None) -> tuple[Flow, ...]:
    """Return the flows to the directory: of Keycloak, the job that keeps users, and nodes; or Keycloak's outside."""
    if outside:
        return (Flow(KEYCLOAK, Network(outside.cidr), outside.port),)
    own = tuple(Flow(source, OPENLDAP, LDAPS_PORT) for source in (KEYCLOAK, KEYCLOAK_REALM))
    return own if nodes is None else (*own, Flow(Network(nodes), OPENLDAP, LDAPS_PORT))


def log_flows(nodes: str | None) -> tuple[Flow, ...]:
    """Return the flow of the nodes' logs."""
    return () if nodes is None else (Flow(Network(nodes), KAFKA, KAFKA_NODES_PORT),)


def node_metrics_flows(nodes: str | None) -> tuple[Flow, ...]:
    """Return the flows to what tells its metrics on the nodes themselves."""
    return () if nodes is None else tuple(Flow(PROMETHEUS, Network(nodes), port) for port in NODE_METRICS_PORTS)


def history_flows(*, kept: bool) -> tuple[Flow, ...]:
    """Return the flows of metrics that are kept for years: blocks to the object store, questions to who has samples."""
    if not kept:
        return ()
    return (
        *(Flow(app, OBJECT_STORE, OBJECT_STORE_PORT) for app in (PROMETHEUS, THANOS_STORE, THANOS_COMPACTOR)),
        *(Flow(THANOS_QUERY, app, THANOS_GRPC_PORT) for app in (PROMETHEUS, THANOS_STORE)),
        Flow(OPERATIONS, THANOS_QUERY, THANOS_QUERY_PORT),
        *(Flow(PROMETHEUS, app, port) for app, port in SCRAPED_OF_HISTORY),
    )


def apps(flows: Iterable[Flow]) -> list[App]:
    """Return every workload that takes part in `flows`, in a stable order."""
    peers = {peer for flow in flows for peer in (flow.source, flow.target)}
    return sorted(peer for peer in peers if isinstance(peer, App))


def policy_spec(app: App, flows: Sequence[Flow]) -> networking.NetworkPolicySpecArgs:
    """Return the policy of `app`'s pods: the flows it takes part in."""
    return networking.NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels=app.selector),
        policy_types=["Ingress", "Egress"],
        ingress=[
            networking.NetworkPolicyIngressRuleArgs(from_=[_peer(flow.source)], ports=[_port(flow)])
            for flow in flows
            if flow.target == app
        ],
        egress=[
            networking.NetworkPolicyEgressRuleArgs(to=[_peer(flow.target)], ports=[_port(flow)])
            for flow in flows
            if flow.source == app
        ],
    )


def _peer(peer: Peer) -> networking.NetworkPolicyPeerArgs:
    if isinstance(peer, Network):
        return networking.NetworkPolicyPeerArgs(ip_block=networking.IPBlockArgs(cidr=peer.cidr))
    return networking.NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": peer.namespace}),
        pod_selector=LabelSelectorArgs(match_labels=peer.selector),
    )


def _port(flow: Flow) -> networking.NetworkPolicyPortArgs:
    return networking.NetworkPolicyPortArgs(port=flow.port, end_port=flow.end_port, protocol=flow.protocol)
