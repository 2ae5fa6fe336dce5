"""The load balancer of an environment in OpenStack: Octavia's, or a server with HAProxy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_openstack import loadbalancer, networking

from refsys.infra.clouds.common.names import named, tags
from refsys.infra.clouds.common.ports import Port
from refsys.infra.clouds.openstack.network import Network

DELAY_SECONDS, TIMEOUT_SECONDS, RETRIES = 10, 5, 3


@dataclass(frozen=True)
class Balanced:
    """A port outside, and where its connections go."""

    port: Port
    """Its sources are who may connect."""
    inside: int
    """The nodes' port."""
    addresses: Sequence[str]
    """The nodes' addresses."""


class Octavia(pulumi.ComponentResource):
    """A load balancer of the cloud's own service."""

    def __init__(
        self, name: str, network: Network, balanced: Sequence[Balanced], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Make it with a listener for each port."""
        super().__init__("refsys:openstack:Octavia", name, None, opts)
        environment = network.environment.name
        inside = pulumi.ResourceOptions(parent=self)
        balancer = loadbalancer.LoadBalancer(
            "balancer",
            name=named(environment, "balancer"),
            vip_subnet_id=network.subnet.id,
            description=f"what comes to {environment} from outside",
            tags=tags(environment),
            opts=inside,
        )
        self.port_id = balancer.vip_port_id
        for each in balanced:
            self._listen(each, network, balancer.id, inside)
        self.register_outputs({})

    def _listen(
        self, balanced: Balanced, network: Network, balancer: pulumi.Output[str], inside: pulumi.ResourceOptions
    ) -> None:
        number = balanced.port.number
        title = named(network.environment.name, str(number))
        listener = loadbalancer.Listener(
            f"listener-{number}",
            name=title,
            loadbalancer_id=balancer,
            protocol="TCP",
            protocol_port=number,
            allowed_cidrs=list(balanced.port.sources),
            opts=inside,
        )
        pool = loadbalancer.Pool(
            f"pool-{number}",
            name=title,
            listener_id=listener.id,
            protocol="TCP",
            lb_method="ROUND_ROBIN",
            opts=inside,
        )
        loadbalancer.Monitor(
            f"monitor-{number}",
            name=title,
            pool_id=pool.id,
            type="TCP",
            delay=DELAY_SECONDS,
            timeout=TIMEOUT_SECONDS,
            max_retries=RETRIES,
            opts=inside,
        )
        for address in balanced.addresses:
            loadbalancer.Member(
                f"member-{number}-{address}",
                name=f"{title}-{address}",
                pool_id=pool.id,
                address=address,
                protocol_port=balanced.inside,
                subnet_id=network.subnet.id,
                opts=inside,
            )


def haproxy(balanced: Sequence[Balanced]) -> dict[str, Any]:
    """The parts of a cloud-init configuration that make a server a load balancer."""
    lines = [
        "global",
        "  user haproxy",
        "  group haproxy",
        "  maxconn 20000",
        "defaults",
        "  mode tcp",
        f"  timeout connect {TIMEOUT_SECONDS}s",
        "  timeout client 1h",
        "  timeout server 1h",
    ]
    for each in balanced:
        lines += [f"listen port-{each.port.number}", f"  bind :{each.port.number}", "  balance roundrobin"]
        lines += [
            f"  server {address} {address}:{each.inside} check inter {DELAY_SECONDS}s fall {RETRIES}"
            for address in each.addresses
        ]
    content = "\n".join(lines) + "\n"
    return {
        "package_update": True,
        "packages": ["haproxy"],
        "write_files": [{"path": "/etc/haproxy/haproxy.cfg", "permissions": "0644", "content": content}],
        "runcmd": [["systemctl", "reload-or-restart", "haproxy"]],
    }


def outside_address(network: Network, external_network: str) -> networking.FloatingIp:
    """The address at which the environment is found."""
    environment = network.environment.name
    return networking.FloatingIp(
        "floating-balancer",
        pool=external_network,
        description=named(environment, "balancer"),
        tags=tags(environment),
        opts=pulumi.ResourceOptions(parent=network),
    )


def lead(
    network: Network, outside: networking.FloatingIp, port_id: pulumi.Input[str]
) -> networking.FloatingIpAssociate:
    """Lead the address to the load balancer's port."""
    return networking.FloatingIpAssociate(
        "floating-of-balancer",
        floating_ip=outside.address,
        port_id=port_id,
        opts=pulumi.ResourceOptions(parent=network, depends_on=[network.way_out]),
    )
