"""The nodes' network: VPC, private network, the way out, security groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumiverse_scaleway import instance, ipam, network

from refsys.infra.clouds.common.names import named, tags
from refsys.infra.clouds.common.ports import Port
from refsys.infra.clouds.scaleway.settings import Scaleway


@dataclass(frozen=True)
class NetworkArgs:
    """Arguments of `Network`."""

    environment: str
    settings: Scaleway
    cidr: str
    gateway_address: str
    """In the private network."""
    ports: Mapping[str, Sequence[Port]]
    """What is let in, by role."""
    mail: bool
    """Whether mail goes out; Scaleway stops SMTP unless told otherwise."""


class Network(pulumi.ComponentResource):
    """A VPC of the environment's own; nodes reach the internet by a public gateway, and nobody reaches them by it."""

    def __init__(self, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the network."""
        super().__init__("refsys:scaleway:Network", "network", None, opts)
        self.args = args
        vpc = network.Vpc(
            "vpc",
            name=named(args.environment, "vpc"),
            region=args.settings.region,
            tags=tags(args.environment),
            opts=self._child,
        )
        self.private = network.PrivateNetwork(
            "private-network",
            name=named(args.environment, "nodes"),
            vpc_id=vpc.id,
            region=args.settings.region,
            ipv4_subnet=network.PrivateNetworkIpv4SubnetArgs(subnet=args.cidr),
            tags=tags(args.environment),
            opts=self._child,
        )
        self.way_out = self._way_out()
        self.security_groups = {role: self._security_group(role, ports) for role, ports in args.ports.items()}
        self.register_outputs({})

    @property
    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)

    def reserve(self, name: str, address: str, opts: pulumi.ResourceOptions | None = None) -> ipam.Ip:
        """Book an address of the private network, so that nobody else is given it."""
        return ipam.Ip(
            f"{name}-private-address",
            address=address,
            sources=[ipam.IpSourceArgs(private_network_id=self.private.id)],
            region=self.args.settings.region,
            tags=tags(self.args.environment, name),
            opts=opts or self._child,
        )

    def _way_out(self) -> network.GatewayNetwork:
        zone, environment = self.args.settings.zone, self.args.environment
        outside = network.PublicGatewayIp("gateway-address", zone=zone, tags=tags(environment), opts=self._child)
        gateway = network.PublicGateway(
            "gateway",
            name=named(environment, "gateway"),
            type=self.args.settings.gateway,
            ip_id=outside.id,
            bastion_enabled=False,
            enable_smtp=self.args.mail,
            zone=zone,
            tags=tags(environment),
            opts=self._child,
        )
        inside = self.reserve("gateway", self.args.gateway_address)
        return network.GatewayNetwork(
            "gateway-network",
            gateway_id=gateway.id,
            private_network_id=self.private.id,
            enable_masquerade=True,
            ipam_configs=[network.GatewayNetworkIpamConfigArgs(push_default_route=True, ipam_ip_id=inside.id)],
            zone=zone,
            opts=self._child,
        )

    def _security_group(self, role: str, ports: Sequence[Port]) -> instance.SecurityGroup:
        name = role.replace("_", "-")
        return instance.SecurityGroup(
            f"security-group-{name}",
            name=named(self.args.environment, name),
            description=f"What nodes of role {role} let in",
            stateful=True,
            inbound_default_policy="drop",
            outbound_default_policy="accept",
            enable_default_security=not self.args.mail,
            inbound_rules=[
                instance.SecurityGroupInboundRuleArgs(
                    action="accept", protocol=port.protocol.upper(), port=port.number, ip_range=source
                )
                for port in ports
                for source in port.sources
            ],
            zone=self.args.settings.zone,
            tags=tags(self.args.environment, name),
            opts=self._child,
        )
