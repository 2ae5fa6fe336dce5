"""What a cloud must offer. One module per cloud implements it; the program knows nothing else of clouds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pulumi

from refsys.infra.clouds.pools import NodePool
from refsys.infra.environment import Environment


@dataclass(frozen=True)
class Bastion:
    """The server through which SSH goes to nodes."""

    address: pulumi.Input[str]
    """As this machine reaches it."""
    host_key: pulumi.Input[str]


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
    """What is replaced when the machine is made anew."""
    outside: pulumi.Input[str] = ""
    """The address by which this machine reaches the node, where it is not the one in the nodes' network."""
    ssh_port: int = 22
    bastion: Bastion | None = None
    pool: NodePool | None = None
    """The pool that it belongs to."""


class Cloud(ABC):
    """One environment's part of a cloud."""

    variables: Mapping[str, Any]
    """Ansible variables that this cloud's nodes need."""
    waits: ClassVar[bool] = False
    """Whether what is made waits for the cloud, and does not work on this machine: then much is made at once."""
    sweeps: ClassVar[bool] = True
    """Whether `sweep` finds all that a failed removal left; where not, the state is kept for the next try."""
    makes_machines: ClassVar[bool] = True
    """Whether it makes machines, and so can make one anew: the resource of a `Machine` is then what is replaced, and
    the old one goes before the new one comes."""

    def __init__(self, environment: Environment) -> None:
        """Take what belongs to this cloud from the environment's model."""
        self.environment = environment

    @abstractmethod
    def preflight(self) -> None:
        """Refuse what can't work here, before anything is touched.

        Raises:
            UserError: says what is missing and how to get it.
        """

    @abstractmethod
    def controller(self) -> str:
        """The address that connections of this machine come from, as nodes see them."""

    @abstractmethod
    def node_pool(self, pool: NodePool, public_key: pulumi.Input[str]) -> list[Machine]:
        """The pool's nodes, reachable by SSH as root with the key."""

    def keeps_volumes(self, pool: NodePool) -> bool:
        """Whether what lies in the volumes of a pool's node is there again when the node was made anew."""
        return False

    @abstractmethod
    def load_balancer(self, ports: Mapping[int, int], machines: Sequence[Machine]) -> pulumi.Output[str]:
        """Address that spreads connections over machines; `ports` maps outside ports to the machines' ports."""

    @abstractmethod
    def host_names(self, names: Mapping[str, pulumi.Input[str]]) -> pulumi.Resource:
        """Make the names (name → address) known to clients of the environment."""

    def object_store(self) -> None:  # noqa: B027 - most clouds have none
        """The buckets that the cloud's settings name."""

    @abstractmethod
    def sweep(self) -> None:
        """Remove whatever of the environment a failed removal left in the cloud; nothing left is fine."""
