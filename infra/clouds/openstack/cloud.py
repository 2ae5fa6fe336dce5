"""The OpenStack cloud behind the common interface."""

import ipaddress
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import pulumi
import pulumi_openstack
from pulumi_openstack import compute, images, objectstorage

from refsys.infra.clouds.common.cloud_init import SSH_ONLY
from refsys.infra.clouds.common.names import OWNER, named, tags
from refsys.infra.clouds.common.ports import ANYWHERE, REGISTRY_PORT, Port
from refsys.infra.clouds.interface import Bastion, Cloud, Machine
from refsys.infra.clouds.local.resources import HostNames
from refsys.infra.clouds.openstack import leftovers, survey
from refsys.infra.clouds.openstack.balancer import Balanced, Octavia, haproxy, lead, outside_address
from refsys.infra.clouds.openstack.network import (
    BALANCER,
    BASTION,
    Network,
    NetworkArgs,
    bastion_address,
    from_bastion,
)
from refsys.infra.clouds.openstack.servers import Common, Server, ServerArgs
from refsys.infra.clouds.openstack.settings import BALANCER_ADDRESS, GATEWAY_POOL, OpenStack
from refsys.infra.clouds.pools import NodePool
from refsys.infra.environment import ENCRYPTED, Environment
from refsys.infra.errors import UserError
from refsys.infra.layers import reaches
from refsys.platform.components.names import API_SERVER_PORT

IMAGE_PROPERTIES = {"hw_disk_bus": "virtio", "hw_vif_model": "virtio", "os_distro": "debian", "os_admin_user": "root"}

OF_OPERATORS = {"Kubernetes API": API_SERVER_PORT, "registry": REGISTRY_PORT}
"""What of the control plane operators reach from outside, by the load balancer's address."""


class OpenStackCloud(Cloud):
    """An environment in a project of an OpenStack."""

    waits: ClassVar[bool] = True
    sweeps: ClassVar[bool] = False

    def __init__(self, environment: Environment) -> None:
        """Take the cloud's settings from the environment's model."""
        super().__init__(environment)
        self.settings = cast(OpenStack, environment.settings)
        self.variables = {"shared_kernel": False}
        self._base: _Base | None = None

    def preflight(self) -> None:
        """Look at the project; where the credentials are encrypted, the program does it, which can read them."""
        environment = self.environment
        if environment.demo and reaches(environment.until, "platform"):
            raise UserError(
                "the demo's stations are played by this machine, which an OpenStack's nodes do not reach",
                fix="set refsys:demo: false",
            )
        self._check_ranges()
        if not self._encrypted:
            _ = self._seen

    def controller(self) -> str:
        """The bastion's address: SSH of all nodes comes from it."""
        return bastion_address(self.environment)

    def node_pool(self, pool: NodePool, public_key: pulumi.Input[str]) -> list[Machine]:
        """The pool's servers, spread over hosts."""
        base, declared = self._base_with(public_key), self.settings.pool(pool.name)
        policy = "anti-affinity" if declared.spread == "must" else "soft-anti-affinity"
        name = named(self.environment.name, pool.name)
        group = compute.ServerGroup(f"servers-{pool.name}", name=name, policies=policy, opts=base.opts)
        machines = []
        for number, node in enumerate(pool.names):
            arguments = ServerArgs(
                base.common,
                kind=pool.role,
                flavor=declared.flavor,
                address=self._address(pool.first_address + number),
                group=group,
                floating=declared.floating,
                volume_gib=declared.volume_gib,
                volume_type=declared.volume_type,
            )
            server = Server(node, arguments, base.opts)
            machines.append(
                Machine(
                    node,
                    pool.role,
                    arguments.address,
                    server.ready,
                    server.host_key.public_key,
                    server.server,
                    outside=base.outside.address,
                    bastion=base.bastion,
                    pool=pool,
                )
            )
        return machines

    def keeps_volumes(self, pool: NodePool) -> bool:
        """Where they lie on a volume of the cloud."""
        return self.settings.pool(pool.name).volume_gib is not None

    def load_balancer(self, ports: Mapping[int, int], machines: Sequence[Machine]) -> pulumi.Output[str]:
        """From outside to the gateway's nodes, and for operators to the first node of the control plane."""
        base = self._base_with("")
        gateways = [each.address for each in machines if each.pool and each.pool.name == GATEWAY_POOL]
        # What a taint keeps for something else takes no connections.
        workers = gateways or [
            each.address for each in machines if each.role == "worker" and not (each.pool and each.pool.taints)
        ]
        balanced = [
            Balanced(Port("gateway", "tcp", port, [ANYWHERE]), inside, workers) for port, inside in ports.items()
        ]
        operators = self.environment.perimeter.operators_from
        balanced += [
            Balanced(Port(name, "tcp", port, operators), port, [machines[0].address])
            for name, port in OF_OPERATORS.items()
        ]
        if self.settings.load_balancer == "octavia":
            port_id = Octavia("octavia", base.common.network, balanced, base.opts).port_id
        else:
            let_in = [from_bastion(self.environment), *(each.port for each in balanced)]
            base.common.network.let_in(BALANCER, let_in)
            arguments = ServerArgs(
                base.common,
                kind=BALANCER,
                flavor=str(self.settings.balancer_flavor),
                address=self._address(BALANCER_ADDRESS),
                config=haproxy(balanced),
            )
            port_id = Server("balancer", arguments, base.opts).port.id
        led = lead(base.common.network, base.outside, port_id)
        return pulumi.Output.all(base.outside.address, led.id).apply(lambda parts: str(parts[0]))

    def object_store(self) -> None:
        """The containers; one with content is not removed."""
        for container in self.settings.containers:
            objectstorage.Container(
                f"container-{container}",
                name=named(self.environment.name, container),
                metadata={OWNER: self.environment.name},
                opts=self._base_with("").opts,
            )

    def host_names(self, names: Mapping[str, pulumi.Input[str]]) -> HostNames:
        """Names in this machine's /etc/hosts; for others they belong into the DNS."""
        return HostNames("host-names", environment=self.environment.name, names=names)

    def sweep(self) -> None:
        """Nothing is removed without the state; what is there although it should not be is told."""
        if not self._encrypted:
            leftovers.check(self.environment.name, self.settings)

    @cached_property
    def _seen(self) -> survey.Survey:
        return survey.seen(self.environment, self.settings)

    @property
    def _encrypted(self) -> bool:
        secret = self.settings.application_credential_secret
        return secret is not None and secret.get_secret_value() == ENCRYPTED

    def _address(self, number: int) -> str:
        return str(ipaddress.ip_network(self.environment.network)[number])

    def _check_ranges(self) -> None:
        wanted = ipaddress.ip_network(self.environment.network)
        ranges = {"pods": self.environment.kubernetes.pods, "services": self.environment.kubernetes.services}
        for purpose, cidr in ranges.items():
            if wanted.overlaps(ipaddress.ip_network(cidr)):
                raise UserError(
                    f"network {wanted} of {self.environment.name} overlaps {cidr}, the range of its {purpose}",
                    fix="choose another private network: refsys:cidr, from a /16 to a /24",
                )

    def _base_with(self, public_key: pulumi.Input[str]) -> "_Base":
        """What all pools share, made with the first of them."""
        if self._base is None:
            self._base = _Base(self.environment, self.settings, self._seen, public_key)
        return self._base


class _Base:
    """Network, image, key pair, bastion, containers, and the address at which the environment is found."""

    def __init__(
        self, environment: Environment, settings: OpenStack, seen: survey.Survey, public_key: pulumi.Input[str]
    ) -> None:
        """Make all of it."""
        self.opts = pulumi.ResourceOptions(provider=_provider(settings))
        network_args = NetworkArgs(environment, seen.external_network_id, settings.nameservers)
        network = Network("network", network_args, self.opts)
        self.outside = outside_address(network, settings.external_network)
        key = compute.Keypair("key", name=named(environment.name, "key"), public_key=public_key, opts=self.opts)
        self.common = Common(
            environment.name,
            network,
            seen.image_id or _uploaded(environment.name, settings, self.opts).id,
            key,
            public_key,
            settings.availability_zone,
            settings.external_network,
        )
        address = bastion_address(environment)
        arguments = ServerArgs(self.common, BASTION, settings.bastion_flavor, address, floating=True, config=SSH_ONLY)
        server = Server("bastion", arguments, self.opts)
        self.bastion = Bastion(server.outside or address, server.host_key.public_key)


def _provider(settings: OpenStack) -> pulumi_openstack.Provider:
    secret = settings.application_credential_secret
    return pulumi_openstack.Provider(
        "openstack",
        cloud=settings.cloud,
        auth_url=settings.auth_url,
        application_credential_id=settings.application_credential_id,
        application_credential_secret=pulumi.Output.secret(secret.get_secret_value()) if secret else None,
        region=settings.region,
        cacert_file=settings.ca_file,
    )


def _uploaded(environment: str, settings: OpenStack, opts: pulumi.ResourceOptions) -> images.Image:
    return images.Image(
        "image",
        name=settings.image,
        container_format="bare",
        disk_format="qcow2",
        local_file_path=str(Path(str(settings.image_file)).expanduser()),
        visibility="private",
        properties=IMAGE_PROPERTIES,
        tags=tags(environment),
        opts=opts,
    )
