"""The one table of what may talk to what; both ends' network policies come from it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking import v1 as networking

from refsys.platform.components.names import (
    BUCKETS,
    CATALOGUE,
    GATEWAY,
    HTTPS_PORT,
    INGESTION_TRIGGER,
    INGESTION_WORKER,
    KAFKA,
    KAFKA_PORT,
    KEYCLOAK,
    KEYCLOAK_REALM,
    MIGRATE,
    OBJECT_STORE,
    OBJECT_STORE_PORT,
    POSTGRESQL,
    POSTGRESQL_PORT,
    POSTGRESQL_ROLES,
    PRIP,
    PUBLISHER,
    TOPICS,
    App,
)

DNS_PORT = 53


@dataclass(frozen=True)
class Network:
    """Addresses outside the cluster, in CIDR notation."""

    cidr: str


Peer = App | Network


@dataclass(frozen=True)
class Flow:
    """`source` may open TCP connections to `port` (the container's) of `target`."""

    source: Peer
    target: Peer
    port: int


@dataclass(frozen=True)
class StationNetwork:
    """Where a station is reached."""

    cidr: str
    port: int


ANYWHERE = Network("0.0.0.0/0")

# Nothing here needs the API server: no pod carries a token for it.
FLOWS = (
    Flow(ANYWHERE, GATEWAY, HTTPS_PORT),
    Flow(GATEWAY, KEYCLOAK, HTTPS_PORT),
    Flow(GATEWAY, PRIP, HTTPS_PORT),
    Flow(POSTGRESQL_ROLES, POSTGRESQL, POSTGRESQL_PORT),
    Flow(KEYCLOAK, POSTGRESQL, POSTGRESQL_PORT),
    Flow(KEYCLOAK_REALM, KEYCLOAK, HTTPS_PORT),
    Flow(MIGRATE, POSTGRESQL, POSTGRESQL_PORT),
    Flow(TOPICS, KAFKA, KAFKA_PORT),
    Flow(BUCKETS, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(INGESTION_TRIGGER, POSTGRESQL, POSTGRESQL_PORT),
    Flow(INGESTION_TRIGGER, KAFKA, KAFKA_PORT),
    Flow(INGESTION_WORKER, POSTGRESQL, POSTGRESQL_PORT),
    Flow(INGESTION_WORKER, KAFKA, KAFKA_PORT),
    Flow(INGESTION_WORKER, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(CATALOGUE, POSTGRESQL, POSTGRESQL_PORT),
    Flow(CATALOGUE, KAFKA, KAFKA_PORT),
    Flow(CATALOGUE, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(PUBLISHER, POSTGRESQL, POSTGRESQL_PORT),
    Flow(PUBLISHER, KAFKA, KAFKA_PORT),
    Flow(PRIP, POSTGRESQL, POSTGRESQL_PORT),
    Flow(PRIP, OBJECT_STORE, OBJECT_STORE_PORT),
    Flow(PRIP, KEYCLOAK, HTTPS_PORT),
)


def station_flows(stations: Iterable[StationNetwork]) -> tuple[Flow, ...]:
    """Return the flows to stations: the trigger asks for what is new, the worker fetches it."""
    return tuple(
        Flow(source, Network(station.cidr), station.port)
        for station in sorted(set(stations), key=lambda station: (station.cidr, station.port))
        for source in (INGESTION_TRIGGER, INGESTION_WORKER)
    )


def apps(flows: Iterable[Flow]) -> list[App]:
    """Return every workload that takes part in `flows`, in a stable order."""
    peers = {peer for flow in flows for peer in (flow.source, flow.target)}
    return sorted(peer for peer in peers if isinstance(peer, App))


def policy_spec(app: App, flows: Sequence[Flow]) -> networking.NetworkPolicySpecArgs:
    """Return the policy of `app`'s pods: the flows it takes part in, and DNS if it looks up names."""
    incoming = [flow for flow in flows if flow.target == app]
    outgoing = [flow for flow in flows if flow.source == app]
    egress = [
        networking.NetworkPolicyEgressRuleArgs(to=[_peer(flow.target)], ports=[_port(flow.port)]) for flow in outgoing
    ]
    return networking.NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels={"app.kubernetes.io/name": app.name}),
        policy_types=["Ingress", "Egress"],
        ingress=[
            networking.NetworkPolicyIngressRuleArgs(from_=[_peer(flow.source)], ports=[_port(flow.port)])
            for flow in incoming
        ],
        egress=[_dns(), *egress] if egress else [],
    )


def _peer(peer: Peer) -> networking.NetworkPolicyPeerArgs:
    if isinstance(peer, Network):
        return networking.NetworkPolicyPeerArgs(ip_block=networking.IPBlockArgs(cidr=peer.cidr))
    return _pods(peer.namespace, {"app.kubernetes.io/name": peer.name})


def _dns() -> networking.NetworkPolicyEgressRuleArgs:
    return networking.NetworkPolicyEgressRuleArgs(
        to=[_pods("kube-system", {"k8s-app": "kube-dns"})],
        ports=[_port(DNS_PORT, "UDP"), _port(DNS_PORT, "TCP")],
    )


def _pods(namespace: str, labels: dict[str, str]) -> networking.NetworkPolicyPeerArgs:
    return networking.NetworkPolicyPeerArgs(
        namespace_selector=LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": namespace}),
        pod_selector=LabelSelectorArgs(match_labels=labels),
    )


def _port(port: int, protocol: str = "TCP") -> networking.NetworkPolicyPortArgs:
    return networking.NetworkPolicyPortArgs(port=port, protocol=protocol)
