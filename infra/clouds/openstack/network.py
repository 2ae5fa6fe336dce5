"""The environment's network in OpenStack: network, subnet, router, and a security group for each kind of server."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_openstack import networking

from refsys.infra.clouds.common.names import named, tags
from refsys.infra.clouds.common.ports import SSH_PORT, Port, cloud_ports
from refsys.infra.clouds.openstack.settings import BASTION_ADDRESS
from refsys.infra.environment import Environment

ROLES = ("control_plane", "worker")
BASTION = "bastion"
BALANCER = "balancer"


@dataclass(frozen=True)
class NetworkArgs:
    """What a network is made of."""

    environment: Environment
    external_network_id: str
    nameservers: Sequence[str]


def bastion_address(environment: Environment) -> str:
    """The bastion's address within the network; SSH of nodes comes from there."""
    return str(ipaddress.ip_network(environment.network)[BASTION_ADDRESS])


def rules(environment: Environment, kind: str) -> list[Port]:
    """What a kind of server lets in: nodes by role, as the environment's port table has it, and the bastion."""
    if kind == BASTION:
        return [Port("SSH of operators", "tcp", SSH_PORT, environment.perimeter.operators_from)]
    table = cloud_ports(environment, bastion_address(environment), kind, balancer=environment.network)
    return [from_bastion(environment) if port.number == SSH_PORT else port for port in table]


def from_bastion(environment: Environment) -> Port:
    """SSH, as all but the bastion let it in."""
    return Port("SSH through the bastion", "tcp", SSH_PORT, [f"{bastion_address(environment)}/32"])


class Network(pulumi.ComponentResource):
    """Network, subnet and router with its way out, and the security groups."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make all of it."""
        super().__init__("refsys:openstack:Network", name, None, opts)
        self._inside = pulumi.ResourceOptions(parent=self)
        self.environment = args.environment
        self.tags = tags(args.environment.name)
        self.network = networking.Network(
            "network",
            name=self._named("network"),
            admin_state_up=True,
            description=f"nodes of {args.environment.name}",
            tags=self.tags,
            opts=self._inside,
        )
        self.subnet = self._subnet(args)
        router = networking.Router(
            "router",
            name=self._named("router"),
            admin_state_up=True,
            external_network_id=args.external_network_id,
            tags=self.tags,
            opts=self._inside,
        )
        self.way_out = networking.RouterInterface(
            "router-interface", router_id=router.id, subnet_id=self.subnet.id, opts=self._inside
        )
        self._groups: dict[str, networking.SecGroup] = {}
        for kind in (*ROLES, BASTION):
            self.let_in(kind, rules(args.environment, kind))
        self.register_outputs({})

    def let_in(self, kind: str, ports: Sequence[Port]) -> None:
        """Make the security group of a kind of server."""
        self._groups[kind] = group = networking.SecGroup(
            f"group-{kind}",
            name=self._named(kind),
            description=f"what {kind} of {self.environment.name} let in",
            delete_default_rules=True,
            tags=self.tags,
            opts=self._inside,
        )
        networking.SecGroupRule(
            f"{kind}-egress",
            security_group_id=group.id,
            direction="egress",
            ethertype="IPv4",
            description="all that goes out",
            opts=self._inside,
        )
        networking.SecGroupRule(
            f"{kind}-icmp",
            security_group_id=group.id,
            direction="ingress",
            ethertype="IPv4",
            protocol="icmp",
            remote_ip_prefix=self.environment.network,
            description="echo and errors of the network",
            opts=self._inside,
        )
        for port in ports:
            for source in dict.fromkeys(port.sources):
                networking.SecGroupRule(
                    f"{kind}-{port.protocol}-{port.number}-{source.replace('/', '-')}",
                    security_group_id=group.id,
                    direction="ingress",
                    ethertype="IPv4",
                    protocol=port.protocol,
                    port_range_min=port.number,
                    port_range_max=port.number,
                    remote_ip_prefix=source,
                    description=port.name,
                    opts=self._inside,
                )

    def port(self, name: str, kind: str, address: str) -> networking.Port:
        """A port of a server, with its address and the group of its kind."""
        return networking.Port(
            f"port-{name}",
            name=self._named(name),
            network_id=self.network.id,
            admin_state_up=True,
            fixed_ips=[networking.PortFixedIpArgs(subnet_id=self.subnet.id, ip_address=address)],
            security_group_ids=[self._groups[kind].id],
            tags=self.tags,
            opts=self._inside,
        )

    def _named(self, part: str) -> str:
        return named(self.environment.name, part)

    def _subnet(self, args: NetworkArgs) -> networking.Subnet:
        addresses = ipaddress.ip_network(args.environment.network)
        # Nodes have fixed addresses; what the cloud itself needs comes from the end.
        first = addresses[addresses.num_addresses // 16 * 15]
        return networking.Subnet(
            "subnet",
            name=self._named("subnet"),
            network_id=self.network.id,
            cidr=str(addresses),
            ip_version=4,
            enable_dhcp=True,
            gateway_ip=str(addresses[1]),
            dns_nameservers=list(args.nameservers),
            allocation_pools=[networking.SubnetAllocationPoolArgs(start=str(first), end=str(addresses[-2]))],
            tags=self.tags,
            opts=self._inside,
        )
