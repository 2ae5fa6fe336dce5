"""Instances: the nodes and the bastion, with disk, addresses, and volume."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumiverse_scaleway import block, instance

from refsys.infra.clouds.common.cloud_init import Disk, user_data
from refsys.infra.clouds.common.host_key import HostKey
from refsys.infra.clouds.common.names import named, tags
from refsys.infra.clouds.scaleway.network import Network

BOOT_IOPS = 5000


@dataclass(frozen=True)
class NodeArgs:
    """Arguments of `Node`."""

    network: Network
    kind: str
    """Names its security group: the role of a node, or the bastion."""
    type: str
    """Scaleway's commercial type."""
    address: str
    """In the private network."""
    authorized_key: pulumi.Input[str]
    disk_gb: int = 20
    volume_gb: int | None = None
    volume_iops: int = 5000
    placement: instance.PlacementGroup | None = None
    public: bool = False
    """Whether it has a public address."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """More of its cloud-init configuration."""


class Node(pulumi.ComponentResource):
    """A node. Attributes: `server`, `instance` (anew with each), `host_key`, `outside` (public address or "")."""

    def __init__(self, name: str, args: NodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the node called `name`; its volume outlives it where it is only replaced."""
        super().__init__("refsys:scaleway:Node", name, None, opts)
        self._name, self._args = name, args
        self._environment, self._settings = args.network.args.environment, args.network.args.settings
        key = HostKey(self._environment, name, self._child)
        self.host_key = key.public_key
        address = self._public_address() if args.public else None
        self.outside: pulumi.Input[str] = address.address if address else ""
        self.volume = self._volume() if args.volume_gb else None
        self.server = self._server(key, address)
        nic = self._nic()
        # Whoever waits for the node waits for its connection too.
        self.instance = pulumi.Output.all(self.server.id, nic.id).apply(lambda ids: str(ids[0]))
        self.register_outputs({})

    @property
    def _child(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self)

    def _public_address(self) -> instance.Ip:
        return instance.Ip(
            f"{self._name}-address",
            type="routed_ipv4",
            zone=self._settings.zone,
            tags=tags(self._environment, self._name),
            opts=self._child,
        )

    def _volume(self) -> block.Volume:
        return block.Volume(
            f"{self._name}-volume",
            name=named(self._environment, f"{self._name}-volume"),
            size_in_gb=self._args.volume_gb,
            iops=self._args.volume_iops,
            zone=self._settings.zone,
            tags=tags(self._environment, self._name),
            opts=self._child,
        )

    def _server(self, key: HostKey, address: instance.Ip | None) -> instance.Server:
        return instance.Server(
            self._name,
            name=named(self._environment, self._name),
            type=self._args.type,
            image=self._settings.image,
            root_volume=instance.ServerRootVolumeArgs(
                volume_type="sbs_volume",
                size_in_gb=self._args.disk_gb,
                sbs_iops=BOOT_IOPS,
                delete_on_termination=True,
            ),
            additional_volume_ids=[self.volume.id] if self.volume else [],
            enable_dynamic_ip=False,
            ip_ids=[address.id] if address else [],
            security_group_id=self._args.network.security_groups[self._args.kind].id,
            placement_group_id=self._args.placement.id if self._args.placement else None,
            cloud_init=self._user_data(key),
            zone=self._settings.zone,
            tags=tags(self._environment, self._name),
            # Volume and address are kept: the old server must be gone before.
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _nic(self) -> instance.PrivateNic:
        inside = self._args.network.reserve(self._name, self._args.address, self._child)
        # Without the way out, the first boot would fetch nothing.
        opts = pulumi.ResourceOptions(parent=self, depends_on=[self._args.network.way_out])
        return instance.PrivateNic(
            f"{self._name}-nic",
            server_id=self.server.id,
            private_network_id=self._args.network.private.id,
            ipam_ip_ids=[inside.id],
            zone=self._settings.zone,
            tags=tags(self._environment, self._name),
            opts=opts,
        )

    def _user_data(self, key: HostKey) -> pulumi.Output[str]:
        volume = self.volume.id if self.volume else ""
        parts = pulumi.Output.all(self._args.authorized_key, key.private_key, key.public_key, volume)
        return pulumi.Output.secret(
            parts.apply(
                lambda given: user_data(
                    self._name,
                    authorized_key=given[0],
                    host_key=given[1],
                    host_public_key=given[2],
                    disks=[Disk(device(given[3]))] if given[3] else [],
                    more=self._args.more,
                )
            )
        )


def device(volume_id: str) -> str:
    """The path of a block volume on its node; ids are `zone/uuid`."""
    return f"/dev/disk/by-id/scsi-0SCW_sbs_volume-{volume_id.rpartition('/')[2]}"
