"""What a cloud must offer. One module per cloud implements it; the program knows nothing else of clouds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pulumi

from refsys.infra.environment import Size


@dataclass(frozen=True)
class NodePool:
    """Nodes of one role and size."""

    role: str
    """`control_plane` or `worker`; names the inventory group."""
    names: Sequence[str]
    size: Size
    first_address: int
    """Number of the first node's address within the network."""


@dataclass(frozen=True)
class Machine:
    """A node that a cloud made."""

    name: str
    role: str
    address: str
    instance: pulumi.Input[str]
    """Changes whenever the machine was made anew, so that it is set up anew."""
    host_key: pulumi.Input[str]
    """The SSH host key, as in known_hosts."""
    resource: pulumi.Resource | None = field(default=None, compare=False)


class Cloud(ABC):
    """One environment's part of a cloud."""

    variables: ClassVar[Mapping[str, Any]]
    """Ansible variables that this cloud's nodes need."""

    @abstractmethod
    def preflight(self) -> None:
        """Refuse what can't work here, before anything is touched.

        Raises:
            UserError: says what is missing and how to get it.
        """

    @abstractmethod
    def address(self, number: int) -> str:
        """The address with that number in the nodes' network."""

    @abstractmethod
    def controller(self) -> str:
        """The address that connections of this machine come from, as nodes see them."""

    @abstractmethod
    def network(self) -> pulumi.Resource:
        """The nodes' network with its way out."""

    @abstractmethod
    def node_pool(self, pool: NodePool, public_key: pulumi.Input[str]) -> list[Machine]:
        """The pool's nodes, reachable by SSH as root with the key."""

    @abstractmethod
    def load_balancer(self, ports: Mapping[int, int], machines: Sequence[Machine]) -> pulumi.Output[str]:
        """Address that spreads connections over machines; `ports` maps outside ports to the machines' ports."""

    @abstractmethod
    def host_names(self, names: Mapping[str, pulumi.Input[str]]) -> pulumi.Resource:
        """Make the names (name → address) known to clients of the environment."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove whatever of the environment a failed removal left in the cloud; nothing left is fine."""
