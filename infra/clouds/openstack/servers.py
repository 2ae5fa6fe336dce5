"""Servers in OpenStack: nodes, the bastion, and a load balancer where the cloud has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi_openstack import blockstorage, compute, networking

from refsys.infra.clouds.common.cloud_init import user_data
from refsys.infra.clouds.common.host_key import HostKey
from refsys.infra.clouds.common.names import OWNER, named, tags
from refsys.infra.clouds.openstack.network import Network
from refsys.infra.clouds.openstack.volumes import mounted


@dataclass(frozen=True)
class Common:
    """What all servers of an environment have in common."""

    environment: str
    network: Network
    image_id: pulumi.Input[str]
    key_pair: compute.Keypair
    public_key: pulumi.Input[str]
    availability_zone: str | None
    external_network: str


@dataclass(frozen=True)
class ServerArgs:
    """What a server is made of."""

    common: Common
    kind: str
    """Names its security group."""
    flavor: str
    address: str
    group: compute.ServerGroup | None = None
    floating: bool = False
    volume_gib: int | None = None
    volume_type: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """More of its cloud-init configuration."""


class Server(pulumi.ComponentResource):
    """A server with its port, host key, and, where asked for, data volume and floating address."""

    def __init__(self, name: str, args: ServerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make all of it."""
        super().__init__("refsys:openstack:Server", name, None, opts)
        common, self._inside = args.common, pulumi.ResourceOptions(parent=self)
        self.name, self.address = name, args.address
        self.port = common.network.port(name, args.kind, args.address)
        self.host_key = HostKey(common.environment, name, self._inside)
        volume = self._volume(name, args) if args.volume_gib else None
        group = [compute.InstanceSchedulerHintArgs(group=args.group.id)] if args.group else None
        self.server = compute.Instance(
            name,
            name=named(common.environment, name),
            flavor_name=args.flavor,
            image_id=common.image_id,
            key_pair=common.key_pair.name,
            availability_zone=common.availability_zone,
            networks=[compute.InstanceNetworkArgs(port=self.port.id)],
            scheduler_hints=group,
            config_drive=True,
            user_data=self._user_data(name, args, volume),
            metadata={OWNER: common.environment},
            tags=tags(common.environment),
            # The port, and so the address, is kept: the old server must be gone before. By another image the provider
            # would rebuild it under the same id, and nobody would see that it is to be set up anew.
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                replace_on_changes=["imageId"],
                depends_on=[common.network.way_out],
            ),
        )
        self.ready: pulumi.Output[str] = self.server.id
        """The server's id, once it has all that belongs to it."""
        if volume:
            attached = compute.VolumeAttach(
                f"attach-{name}",
                instance_id=self.server.id,
                volume_id=volume.id,
                opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
            )
            self.ready = pulumi.Output.all(self.server.id, attached.id).apply(lambda ids: str(ids[0]))
        self.outside = self._floating(name, args) if args.floating else None
        self.register_outputs({})

    def _user_data(self, name: str, args: ServerArgs, volume: blockstorage.Volume | None) -> pulumi.Output[str]:
        def text(values: Sequence[str]) -> str:
            public_key, private, public, volume_id = values
            more = {**args.config, **(mounted(volume_id) if volume_id else {})}
            return user_data(name, authorized_key=public_key, host_key=private, host_public_key=public, more=more)

        parts = (args.common.public_key, self.host_key.private_key, self.host_key.public_key)
        return pulumi.Output.secret(pulumi.Output.all(*parts, volume.id if volume else "").apply(text))

    def _volume(self, name: str, args: ServerArgs) -> blockstorage.Volume:
        return blockstorage.Volume(
            f"volume-{name}",
            name=named(args.common.environment, name),
            size=args.volume_gib or 0,
            volume_type=args.volume_type,
            availability_zone=args.common.availability_zone,
            enable_online_resize=True,
            description=f"data of node {name} of {args.common.environment}",
            metadata={OWNER: args.common.environment},
            opts=self._inside,
        )

    def _floating(self, name: str, args: ServerArgs) -> pulumi.Output[str]:
        address = networking.FloatingIp(
            f"floating-{name}",
            pool=args.common.external_network,
            description=f"{named(args.common.environment, name)}",
            tags=tags(args.common.environment),
            opts=self._inside,
        )
        networking.FloatingIpAssociate(
            f"floating-of-{name}",
            floating_ip=address.address,
            port_id=self.port.id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[args.common.network.way_out]),
        )
        return address.address
