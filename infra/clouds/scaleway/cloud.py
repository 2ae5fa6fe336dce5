"""Scaleway behind the common interface."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pulumi
from pulumiverse_scaleway import domain, instance

from refsys.infra.clouds.common.names import named, tags
from refsys.infra.clouds.common.ports import ANYWHERE, cloud_ports
from refsys.infra.clouds.interface import Bastion, Cloud, Machine
from refsys.infra.clouds.local import hosts
from refsys.infra.clouds.local.resources import HostNames
from refsys.infra.clouds.pools import NodePool
from refsys.infra.clouds.scaleway import credentials
from refsys.infra.clouds.scaleway.balancer import LoadBalancer, LoadBalancerArgs
from refsys.infra.clouds.scaleway.network import Network, NetworkArgs
from refsys.infra.clouds.scaleway.node import Node, NodeArgs
from refsys.infra.clouds.scaleway.settings import Scaleway
from refsys.infra.clouds.scaleway.store import Bucket
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError

GATEWAY_ADDRESS, BALANCER_ADDRESS = 2, 3
"""Numbers of the addresses in the private network."""
RECORD_TTL = 300


class ScalewayCloud(Cloud):
    """Instances in a private network; the first node of the control plane is the way to all others."""

    variables: Mapping[str, Any] = {"shared_kernel": False}
    waits: ClassVar[bool] = True
    sweeps: ClassVar[bool] = False

    def __init__(self, environment: Environment) -> None:
        """Take what belongs to Scaleway from the environment's model."""
        super().__init__(environment)
        if environment.scaleway is None:
            raise ValueError("the environment has no settings of scaleway")
        self.settings: Scaleway = environment.scaleway
        self._provider: pulumi.ProviderResource | None = None
        self._network: Network | None = None
        self._bastion: Bastion | None = None

    def preflight(self) -> None:
        """Check the credentials, and that what is open on the internet is open to operators alone."""
        environment = self.environment
        if ANYWHERE in environment.perimeter.operators_from:
            raise UserError(
                f"nodes of {environment.name} would let the whole internet in by SSH and to the Kubernetes API",
                fix="say where operators come from: pulumi config set --path 'refsys:perimeter.operators_from[0]' "
                f"{self.settings.controller}/32",
            )
        nodes = ipaddress.ip_network(environment.network)
        for purpose, cidr in (("pods", environment.kubernetes.pods), ("services", environment.kubernetes.services)):
            if nodes.overlaps(ipaddress.ip_network(cidr)):
                raise UserError(
                    f"network {nodes} of environment {environment.name} overlaps {cidr}, that of its {purpose}",
                    fix="choose another private /24: pulumi config set refsys:cidr 10.x.y.0/24",
                )
        credentials.check(self.settings)

    def controller(self) -> str:
        """This machine's public address."""
        return str(self.settings.controller)

    def node_pool(self, pool: NodePool, public_key: pulumi.Input[str]) -> list[Machine]:
        """One instance per name, on different hosts of the cloud as far as there are enough."""
        network = self._nodes_network()
        wanted = self.settings.pool(pool.name)
        placement = instance.PlacementGroup(
            f"placement-{pool.name}",
            name=named(self.environment.name, pool.name),
            policy_type="max_availability",
            # A control plane on one host is none; a worker that finds no host of its own is still a worker.
            policy_mode="enforced" if pool.role == "control_plane" else "optional",
            zone=self.settings.zone,
            tags=tags(self.environment.name, pool.name),
            opts=self._options(),
        )
        machines = []
        for number, name in enumerate(pool.names):
            args = NodeArgs(
                network,
                wanted,
                placement,
                address=self._address(pool.first_address + number),
                public=self._bastion is None,
                authorized_key=public_key,
            )
            node = Node(name, args, self._options())
            machine = Machine(
                name,
                pool.role,
                args.address,
                node.instance,
                node.host_key,
                node.server,
                outside=node.outside,
                bastion=self._bastion,
                pool=pool,
            )
            self._bastion = self._bastion or Bastion(node.outside, node.host_key)
            machines.append(machine)
        return machines

    def load_balancer(self, ports: Mapping[int, int], machines: Sequence[Machine]) -> pulumi.Output[str]:
        """A load balancer with a public address."""
        args = LoadBalancerArgs(
            self._nodes_network(),
            self._address(BALANCER_ADDRESS),
            ports,
            [machine.address for machine in machines],
        )
        address: pulumi.Output[str] = LoadBalancer(args, self._options()).address
        return address

    def host_names(self, names: Mapping[str, pulumi.Input[str]]) -> pulumi.Resource:
        """Names in this machine's /etc/hosts, so that it need not wait for DNS, and in the DNS zone that is named."""
        zone = self.settings.dns_zone
        for name, address in names.items() if zone else ():
            domain.Record(
                f"record-{name.removesuffix(f'.{self.environment.domain}')}",
                dns_zone=zone,
                name=name.removesuffix(f".{zone}"),
                type="A",
                data=address,
                ttl=RECORD_TTL,
                project_id=self.settings.project,
                opts=self._options(),
            )
        return HostNames("host-names", environment=self.environment.name, names=names)

    def object_store(self) -> None:
        """The buckets of the settings."""
        for name in self.settings.buckets:
            Bucket(self.environment.name, name, self.settings, self._options())

    def sweep(self) -> None:
        """Forget the names on this machine; what is in the cloud is known to the stack's state alone."""
        hosts.remove(self.environment.name)

    def _address(self, number: int) -> str:
        return str(ipaddress.ip_network(self.environment.network)[number])

    def _options(self) -> pulumi.ResourceOptions:
        self._provider = self._provider or credentials.provider(self.settings)
        return pulumi.ResourceOptions(providers=[self._provider])

    def _nodes_network(self) -> Network:
        if self._network is None:
            balancer = f"{self._address(BALANCER_ADDRESS)}/32"
            roles = sorted({pool.role for pool in self.settings.nodes})
            args = NetworkArgs(
                self.environment.name,
                self.settings,
                self.environment.network,
                self._address(GATEWAY_ADDRESS),
                {role: cloud_ports(self.environment, self.controller(), role, balancer) for role in roles},
                mail=self.environment.alerts.mail is not None,
            )
            self._network = Network(args, self._options())
        return self._network
