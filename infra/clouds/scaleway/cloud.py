"""Scaleway behind the common interface."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import pulumi
from pulumiverse_scaleway import domain, instance, loadbalancers

from refsys.infra.clouds.common.cloud_init import SSH_ONLY
from refsys.infra.clouds.common.names import named, tags
from refsys.infra.clouds.common.ports import ANYWHERE, REGISTRY_PORT, SSH_PORT, Port, cloud_ports
from refsys.infra.clouds.interface import Bastion, Cloud, Machine
from refsys.infra.clouds.local import hosts
from refsys.infra.clouds.local.resources import HostNames
from refsys.infra.clouds.pools import NodePool
from refsys.infra.clouds.scaleway import credentials
from refsys.infra.clouds.scaleway.balancer import Balanced, LoadBalancer, LoadBalancerArgs
from refsys.infra.clouds.scaleway.network import Network, NetworkArgs
from refsys.infra.clouds.scaleway.node import Node, NodeArgs
from refsys.infra.clouds.scaleway.settings import BALANCER_ADDRESS, BASTION_ADDRESS, GATEWAY_ADDRESS, Scaleway
from refsys.infra.clouds.scaleway.store import Bucket
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.layers import reaches
from refsys.platform.components.names import API_SERVER_PORT

OF_OPERATORS = (API_SERVER_PORT, REGISTRY_PORT)
"""What of the control plane operators reach from outside, by the load balancer's address."""
RECORD_TTL = 300


class ScalewayCloud(Cloud):
    """Instances in a private network, behind a bastion for operators and a load balancer for users."""

    variables: Mapping[str, Any] = {"shared_kernel": False}
    waits: ClassVar[bool] = True
    sweeps: ClassVar[bool] = False

    def __init__(self, environment: Environment) -> None:
        """Take what belongs to Scaleway from the environment's model."""
        super().__init__(environment)
        self.settings = cast(Scaleway, environment.settings)
        self._base: _Base | None = None

    def preflight(self) -> None:
        """Check the credentials, and that what is open on the internet is open to operators alone."""
        environment = self.environment
        if ANYWHERE in environment.perimeter.operators_from:
            raise UserError(
                f"the whole internet would reach SSH and the Kubernetes API of {environment.name}",
                fix="name the operators' networks, that of this machine among them, in refsys:perimeter: "
                "{operators_from: [192.0.2.0/24]}",
            )
        if environment.demo and reaches(environment.until, "platform"):
            raise UserError(
                "the demo's stations are played by this machine, which nodes at Scaleway do not reach",
                fix="set refsys:demo: false",
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
        """The bastion's address: SSH of all nodes comes from it."""
        return self._address(BASTION_ADDRESS)

    def node_pool(self, pool: NodePool, public_key: pulumi.Input[str]) -> list[Machine]:
        """One instance per name, on different hosts of the cloud as far as there are enough."""
        base, wanted = self._base_with(public_key), self.settings.pool(pool.name)
        placement = instance.PlacementGroup(
            f"placement-{pool.name}",
            name=named(self.environment.name, pool.name),
            policy_type="max_availability",
            # A control plane on one host is none; a worker that finds no host of its own is still a worker.
            policy_mode="enforced" if pool.role == "control_plane" else "optional",
            zone=self.settings.zone,
            tags=tags(self.environment.name, pool.name),
            opts=base.opts,
        )
        machines = []
        for number, name in enumerate(pool.names):
            args = NodeArgs(
                base.network,
                kind=pool.role,
                type=wanted.type,
                address=self._address(pool.first_address + number),
                authorized_key=public_key,
                disk_gb=wanted.disk_gb,
                volume_gb=wanted.volume_gb,
                volume_iops=wanted.volume_iops,
                placement=placement,
            )
            node = Node(name, args, base.opts)
            machines.append(
                Machine(
                    name,
                    pool.role,
                    args.address,
                    node.instance,
                    node.host_key,
                    node.server,
                    outside=base.outside.ip_address,
                    bastion=base.bastion,
                    pool=pool,
                )
            )
        return machines

    def keeps_volumes(self, pool: NodePool) -> bool:
        """Where they lie on a volume of the cloud."""
        return self.settings.pool(pool.name).volume_gb is not None

    def load_balancer(self, ports: Mapping[int, int], machines: Sequence[Machine]) -> pulumi.Output[str]:
        """From outside to the workers, and for operators to the first node of the control plane."""
        base = self._base_with("")
        workers = [each.address for each in machines if each.role == "worker" and not (each.pool and each.pool.taints)]
        of_users = [Balanced(port, inside, workers, [ANYWHERE]) for port, inside in ports.items()]
        operators = self.environment.perimeter.operators_from
        of_operators = [Balanced(port, port, [machines[0].address], operators) for port in OF_OPERATORS]
        args = LoadBalancerArgs(base.network, base.outside, self._address(BALANCER_ADDRESS), [*of_users, *of_operators])
        return LoadBalancer(args, base.opts).address

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
                opts=self._base_with("").opts,
            )
        return HostNames("host-names", environment=self.environment.name, names=names)

    def object_store(self) -> None:
        """The buckets of the settings."""
        for name in self.settings.buckets:
            Bucket(self.environment.name, name, self.settings, self._base_with("").opts)

    def sweep(self) -> None:
        """Forget the names on this machine; what is in the cloud is known to the stack's state alone."""
        hosts.remove(self.environment.name)

    def _address(self, number: int) -> str:
        return str(ipaddress.ip_network(self.environment.network)[number])

    def _base_with(self, public_key: pulumi.Input[str]) -> "_Base":
        """What all pools share, made with the first of them."""
        if self._base is None:
            self._base = _Base(self.environment, self.settings, public_key)
        return self._base


class _Base:
    """Network, bastion, and the address at which the environment is found."""

    def __init__(self, environment: Environment, settings: Scaleway, public_key: pulumi.Input[str]) -> None:
        """Make all of it."""
        self._provider = credentials.provider(settings)
        addresses = ipaddress.ip_network(environment.network)
        bastion, balancer = str(addresses[BASTION_ADDRESS]), f"{addresses[BALANCER_ADDRESS]}/32"
        ports = {role: cloud_ports(environment, bastion, role, balancer) for role in ("control_plane", "worker")}
        ports["bastion"] = [Port("SSH", "tcp", SSH_PORT, environment.perimeter.operators_from)]
        args = NetworkArgs(
            environment.name,
            settings,
            environment.network,
            str(addresses[GATEWAY_ADDRESS]),
            ports,
            mail=environment.alerts.mail is not None,
        )
        self.network = Network(args, self.opts)
        of_bastion = NodeArgs(
            self.network, "bastion", settings.bastion, bastion, public_key, public=True, more=SSH_ONLY
        )
        node = Node("bastion", of_bastion, self.opts)
        self.bastion = Bastion(node.outside, node.host_key)
        self.outside = loadbalancers.Ip(
            "load-balancer-address", zone=settings.zone, tags=tags(environment.name), opts=self.opts
        )

    @property
    def opts(self) -> pulumi.ResourceOptions:
        """Options of what belongs to no other."""
        return pulumi.ResourceOptions(providers=[self._provider])
