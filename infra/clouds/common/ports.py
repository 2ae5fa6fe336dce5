"""The environment's port table: what nodes let in, by role. Node firewalls and security groups are made from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from refsys.infra.environment import Environment
from refsys.platform.components.names import (
    API_SERVER_PORT,
    CALICO_METRICS_PORT,
    ETCD_METRICS_PORT,
    GATEWAY_NODE_PORT,
    KAFKA_NODE_PORT,
    KUBELET_PORT,
    LDAPS_NODE_PORT,
    NODE_EXPORTER_PORT,
)

ANYWHERE = "0.0.0.0/0"
REGISTRY_PORT = 5000
SSH_PORT = 22
WAZUH_PORTS = {"Wazuh: events of agents": 1514, "Wazuh: enrolment of agents": 1515}
VXLAN_PORT = 4789


@dataclass(frozen=True)
class Port:
    """A port that is open to some networks."""

    name: str
    protocol: Literal["tcp", "udp"]
    number: int
    sources: Sequence[str]
    """Networks."""


def ssh_sources(environment: Environment, controller: str, role: str) -> list[str]:
    """Networks that reach SSH of a node; the control plane is the way to all others for operators.

    `controller` is the address that connections of this machine come from.
    """
    operators = environment.perimeter.operators_from
    if ANYWHERE in operators:
        return [ANYWHERE]
    inside = [environment.network, f"{controller}/32"]
    return [*operators, *inside] if role == "control_plane" else inside


def node_ports(environment: Environment, controller: str, role: str) -> list[Port]:
    """What a node itself answers, beside SSH; by networks, so that another node changes nothing on the others."""
    nodes = environment.network
    inside_of_cluster = [nodes, environment.kubernetes.pods]
    ports = [
        Port("pods of other nodes (VXLAN)", "udp", VXLAN_PORT, [nodes]),
        Port("kubelet", "tcp", KUBELET_PORT, inside_of_cluster),
        Port("Calico's metrics", "tcp", CALICO_METRICS_PORT, inside_of_cluster),
        Port("node exporter", "tcp", NODE_EXPORTER_PORT, inside_of_cluster),
    ]
    if role == "control_plane":
        operators = environment.perimeter.operators_from
        inside = [] if ANYWHERE in operators else [nodes, f"{controller}/32"]
        ports += [
            Port("etcd's metrics", "tcp", ETCD_METRICS_PORT, inside_of_cluster),
            Port("Kubernetes API", "tcp", API_SERVER_PORT, [*operators, *inside]),
            Port("registry", "tcp", REGISTRY_PORT, [nodes, f"{controller}/32"]),
        ]
    return ports


def cloud_ports(environment: Environment, controller: str, role: str, balancer: str) -> list[Port]:
    """What a cloud must let through to a node: what it answers, SSH, and services that Kubernetes forwards.

    `balancer` is the network that the load balancer's connections come from.
    """
    nodes = environment.network
    forwarded = [
        Port("gateway", "tcp", GATEWAY_NODE_PORT, [balancer]),
        Port("directory, for logins on nodes", "tcp", LDAPS_NODE_PORT, [nodes]),
        Port("Kafka, for logs of nodes", "tcp", KAFKA_NODE_PORT, [nodes]),
    ]
    if environment.detection.wazuh and role == "control_plane":
        forwarded += [Port(name, "tcp", port, [nodes]) for name, port in WAZUH_PORTS.items()]
    ssh = Port("SSH", "tcp", SSH_PORT, ssh_sources(environment, controller, role))
    return [ssh, *node_ports(environment, controller, role), *forwarded]
