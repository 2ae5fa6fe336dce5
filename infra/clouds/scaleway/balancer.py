"""The way in for users, and to the control plane for operators."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumiverse_scaleway import loadbalancers

from refsys.infra.clouds.common.names import named, tags
from refsys.infra.clouds.common.ports import ANYWHERE
from refsys.infra.clouds.scaleway.network import Network

EVERYBODY = (ANYWHERE, "::/0")
"""What no rule names is let through, so the last rule names all."""


@dataclass(frozen=True)
class Balanced:
    """A port that users or operators reach."""

    port: int
    inside: int
    """Port of the targets."""
    targets: Sequence[str]
    """Addresses in the private network."""
    sources: Sequence[str]
    """Networks that may connect."""


@dataclass(frozen=True)
class LoadBalancerArgs:
    """Arguments of `LoadBalancer`."""

    network: Network
    outside: loadbalancers.Ip
    address: str
    """In the private network, where its connections to nodes come from."""
    ports: Sequence[Balanced]


class LoadBalancer(pulumi.ComponentResource):
    """Spreads TCP connections over nodes that answer. Attribute: `address`, the public one, once all is there."""

    def __init__(self, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the load balancer."""
        super().__init__("refsys:scaleway:LoadBalancer", "load-balancer", None, opts)
        self._environment, settings = args.network.args.environment, args.network.args.settings
        inside = args.network.reserve("load-balancer", args.address, self._child)
        self._balancer = loadbalancers.LoadBalancer(
            "balancer",
            name=named(self._environment, "balancer"),
            type=settings.load_balancer,
            ip_ids=[args.outside.id],
            private_networks=[
                loadbalancers.LoadBalancerPrivateNetworkArgs(
                    private_network_id=args.network.private.id, ipam_ids=inside.id
                )
            ],
            zone=settings.zone,
            tags=tags(self._environment),
            opts=self._child,
        )
        frontends = [self._frontend(port) for port in args.ports]
        ready = pulumi.Output.all(args.outside.ip_address, *(frontend.id for frontend in frontends))
        self.address = ready.apply(lambda parts: str(parts[0]))
        self.register_outputs({"address": self.address})

    @property
    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)

    def _frontend(self, wanted: Balanced) -> loadbalancers.Frontend:
        name = named(self._environment, str(wanted.port))
        backend = loadbalancers.Backend(
            f"backend-{wanted.port}",
            name=name,
            lb_id=self._balancer.id,
            forward_protocol="tcp",
            forward_port=wanted.inside,
            server_ips=list(wanted.targets),
            health_check_tcp=loadbalancers.BackendHealthCheckTcpArgs(),  # type: ignore[no-untyped-call]  # the SDK has none
            opts=self._child,
        )
        return loadbalancers.Frontend(
            f"frontend-{wanted.port}",
            name=name,
            lb_id=self._balancer.id,
            backend_id=backend.id,
            inbound_port=wanted.port,
            acls=[] if ANYWHERE in wanted.sources else [_acl("allow", wanted.sources), _acl("deny", EVERYBODY)],
            opts=self._child,
        )


def _acl(action: str, sources: Sequence[str]) -> loadbalancers.FrontendAclArgs:
    return loadbalancers.FrontendAclArgs(
        name=action,
        action=loadbalancers.FrontendAclActionArgs(type=action),
        match=loadbalancers.FrontendAclMatchArgs(ip_subnets=list(sources)),
    )
