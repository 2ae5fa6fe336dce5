"""What the settings of every cloud have in common: they say which nodes there are."""

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from refsys.infra.model import Strict

Role = Literal["control_plane", "worker"]


@dataclass(frozen=True)
class NodePool:
    """Nodes of one role and kind."""

    name: str
    role: Role
    """Names the inventory group."""
    names: Sequence[str]
    first_address: int
    """Number of the first node's address within the network."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the nodes in Kubernetes."""
    taints: Sequence[str] = ()
    """Taints of the nodes in Kubernetes, as in `processing=true:NoSchedule`."""


def numbered(name: str, count: int) -> list[str]:
    """Names of a pool's nodes: the pool's, and a number from 1."""
    return [f"{name}{number}" for number in range(1, count + 1)]


class CloudSettings(Strict, ABC):
    """Base of a cloud's settings."""

    @abstractmethod
    def pools(self) -> list[NodePool]:
        """The node pools, the control plane's first."""

    def check_network(self, network: str) -> None:
        """Refuse a network of the nodes that does not fit this cloud.

        Raises:
            ValueError: says what would fit.
        """
        given = ipaddress.ip_network(network)
        if given.prefixlen != 24 or not given.is_private:
            raise ValueError(f"cidr {network} must be a private /24 such as 10.150.7.0/24")
