"""The users' way in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumiverse_scaleway import loadbalancers

from refsys.infra.clouds.common.names import named, tags
from refsys.infra.clouds.scaleway.network import Network


@dataclass(frozen=True)
class LoadBalancerArgs:
    """Arguments of `LoadBalancer`."""

    network: Network
    address: str
    """In the private network, where its connections to nodes come from."""
    ports: Mapping[int, int]
    """Outside port → port of the nodes."""
    targets: Sequence[str]
    """The nodes' addresses in the private network."""


class LoadBalancer(pulumi.ComponentResource):
    """Spreads TCP connections over nodes that answer. Attribute: `address`, the public one."""

    def __init__(self, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the load balancer with its address."""
        super().__init__("refsys:scaleway:LoadBalancer", "load-balancer", None, opts)
        environment, settings = args.network.args.environment, args.network.args.settings
        child = pulumi.ResourceOptions(parent=self)
        outside = loadbalancers.Ip("load-balancer-address", zone=settings.zone, tags=tags(environment), opts=child)
        inside = args.network.reserve("load-balancer", args.address, child)
        balancer = loadbalancers.LoadBalancer(
            "balancer",
            name=named(environment, "balancer"),
            type=settings.load_balancer,
            ip_ids=[outside.id],
            private_networks=[
                loadbalancers.LoadBalancerPrivateNetworkArgs(
                    private_network_id=args.network.private.id, ipam_ids=inside.id
                )
            ],
            zone=settings.zone,
            tags=tags(environment),
            opts=child,
        )
        for port, inside_port in args.ports.items():
            backend = loadbalancers.Backend(
                f"backend-{port}",
                name=named(environment, str(port)),
                lb_id=balancer.id,
                forward_protocol="tcp",
                forward_port=inside_port,
                server_ips=list(args.targets),
                health_check_tcp=loadbalancers.BackendHealthCheckTcpArgs(),
                opts=child,
            )
            loadbalancers.Frontend(
                f"frontend-{port}",
                name=named(environment, str(port)),
                lb_id=balancer.id,
                backend_id=backend.id,
                inbound_port=port,
                opts=child,
            )
        self.address = outside.ip_address
        self.register_outputs({"address": self.address})
