"""The local cloud behind the common interface."""

import ipaddress
from collections.abc import Mapping, Sequence

import pulumi

from refsys.infra.clouds.interface import Cloud, Machine
from refsys.infra.clouds.local import hosts, machines, naming, network, preflight
from refsys.infra.clouds.local.resources import HostNames, LoadBalancer, Network, Node
from refsys.infra.clouds.pools import NodePool
from refsys.infra.environment import Environment


class LocalCloud(Cloud):
    """Nodes, network and load balancer on this machine."""

    def __init__(self, environment: Environment) -> None:
        """Take what belongs to the local cloud from the environment's model."""
        super().__init__(environment)
        # The nodes share the machine's kernel: they can't set its keys or modules.
        self.variables = {"shared_kernel": True}
        self._network: Network | None = None

    def preflight(self) -> None:
        """Check the machine and the network."""
        preflight.check(self.environment)
        kubernetes = self.environment.kubernetes
        ranges = {"pod range": kubernetes.pods, "service range": kubernetes.services}
        naming.check_cidr(self.environment.name, self.environment.network, ranges)

    def controller(self) -> str:
        """This machine's own address on the bridge."""
        return network.gateway(self.environment.network)

    def network(self) -> Network:
        """The nodes' network: bridge and NAT."""
        if self._network is None:
            self._network = Network("network", self.environment.name, self.environment.network)
        return self._network

    def node_pool(self, pool: NodePool, public_key: pulumi.Input[str]) -> list[Machine]:
        """One nspawn node per name."""
        size = self.environment.local.size_of(pool)
        addresses = ipaddress.ip_network(self.environment.network)
        machines = []
        for number, name in enumerate(pool.names):
            address = str(addresses[pool.first_address + number])
            node = Node(
                name,
                environment=self.environment.name,
                address=address,
                cidr=self.environment.network,
                memory_mib=size.memory_mib,
                cpus=size.cpus,
                public_key=public_key,
                opts=pulumi.ResourceOptions(depends_on=[self.network()]),
            )
            machines.append(Machine(name, pool.role, address, node.instance, node.host_key, node, pool=pool))
        return machines

    def load_balancer(self, ports: Mapping[int, int], machines: Sequence[Machine]) -> pulumi.Output[str]:
        """The machine's own address on the bridge, spread over the nodes."""
        balancer = LoadBalancer(
            "load-balancer",
            environment=self.environment.name,
            address=network.gateway(self.environment.network),
            ports=ports,
            targets=[machine.address for machine in machines],
            opts=pulumi.ResourceOptions(depends_on=[self.network()]),
        )
        return balancer.address

    def host_names(self, names: Mapping[str, pulumi.Input[str]]) -> HostNames:
        """Names in this machine's /etc/hosts."""
        return HostNames("host-names", environment=self.environment.name, names=names)

    def sweep(self) -> None:
        """Remove nodes, network and names that no state remembers."""
        machines.sweep(self.environment.name)
        hosts.remove(self.environment.name)
