"""A small environment as a Pulumi program, written with the vendor's SDK."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_openstack
from pulumi_openstack import blockstorage, compute, images, networking

from tests.means.openstack.catalogue import EXTERNAL, REGION, USER
from tests.means.openstack.cloud import Cloud
from tests.plugin.engine import Program

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIbWcDvVh0vWlTPBwbDmGXlOTnHC9gYq4Cb3bB9XWc3z refsys"
USER_DATA = "#cloud-config\n# not for the eyes of others: correct-horse-battery\n"


@dataclass(frozen=True)
class Wanted:
    """What differs between the tests' programs."""

    nodes: int = 1
    flavor: str = "small"
    image: str | None = None
    """The id of an image that is there; without, the file is uploaded."""
    cidr: str = "10.20.0.0/24"
    ssh_from: str = "198.51.100.0/24"
    volume: int = 1
    key_name: str = "t-key"
    password: str | None = None
    endpoints: dict[str, str] = field(default_factory=dict)


def provider(cloud: Cloud, wanted: Wanted) -> pulumi.ResourceOptions:
    """Options with the provider of the tests' project."""
    made = pulumi_openstack.Provider(
        "cloud",
        auth_url=cloud.auth_url,
        user_name=USER,
        tenant_name=USER,
        user_domain_name="Default",
        project_domain_name="Default",
        password=wanted.password or cloud.password,
        region=REGION,
        endpoint_overrides=wanted.endpoints,
    )
    return pulumi.ResourceOptions(provider=made)


@dataclass(frozen=True)
class Shared:
    """What all nodes have in common."""

    network: networking.Network
    subnet: networking.Subnet
    group: networking.SecGroup
    key: compute.Keypair
    apart: compute.ServerGroup
    image: pulumi.Input[str]
    leg: networking.RouterInterface
    opts: pulumi.ResourceOptions

    def options(self, **more: Any) -> pulumi.ResourceOptions:
        """The options with more of them."""
        return pulumi.ResourceOptions.merge(self.opts, pulumi.ResourceOptions(**more))


def small(cloud: Cloud, file: Path, wanted: Wanted) -> Program:
    """Network with a way out, rules, key, image, and nodes with a port, a volume and a floating address each."""

    def run() -> None:
        opts = provider(cloud, wanted)
        network = networking.Network("network", name="t-net", admin_state_up=True, tags=["refsys"], opts=opts)
        subnet = networking.Subnet(
            "subnet", name="t-subnet", network_id=network.id, cidr=wanted.cidr, ip_version=4, opts=opts
        )
        external = cloud.admin().network.find_network(EXTERNAL, ignore_missing=False)
        router = networking.Router("router", name="t-router", external_network_id=external.id, opts=opts)
        leg = networking.RouterInterface("leg", router_id=router.id, subnet_id=subnet.id, opts=opts)
        group = networking.SecGroup("nodes", name="t-nodes", delete_default_rules=True, tags=["refsys"], opts=opts)
        networking.SecGroupRule(
            "ssh",
            security_group_id=group.id,
            direction="ingress",
            ethertype="IPv4",
            protocol="tcp",
            port_range_min=22,
            port_range_max=22,
            remote_ip_prefix=wanted.ssh_from,
            description="SSH of operators",
            opts=opts,
        )
        key = compute.Keypair("key", name=wanted.key_name, public_key=KEY, opts=opts)
        apart = compute.ServerGroup("apart", name="t-apart", policies="soft-anti-affinity", opts=opts)
        image = wanted.image or uploaded(file, opts).id
        shared = Shared(network, subnet, group, key, apart, image, leg, opts)
        for number in range(1, wanted.nodes + 1):
            node(number, wanted, shared)

    return run


def uploaded(file: Path, opts: pulumi.ResourceOptions) -> images.Image:
    """An image from a file."""
    return images.Image(
        "image",
        name="t-image",
        container_format="bare",
        disk_format="raw",
        local_file_path=str(file),
        properties={"os_distro": "debian"},
        opts=opts,
    )


def node(number: int, wanted: Wanted, shared: Shared) -> None:
    """One node with all that belongs to it."""
    name = f"t-w{number}"
    port = networking.Port(
        f"port{number}",
        name=name,
        network_id=shared.network.id,
        fixed_ips=[{"subnet_id": shared.subnet.id, "ip_address": f"10.20.0.{20 + number}"}],
        security_group_ids=[shared.group.id],
        opts=shared.opts,
    )
    server = compute.Instance(
        f"w{number}",
        name=name,
        flavor_name=wanted.flavor,
        image_id=shared.image,
        key_pair=shared.key.name,
        networks=[{"port": port.id}],
        scheduler_hints=[{"group": shared.apart.id}],
        config_drive=True,
        user_data=pulumi.Output.secret(USER_DATA),
        metadata={"pool": "workers"},
        tags=["refsys"],
        opts=shared.options(delete_before_replace=True),
    )
    volume = blockstorage.Volume(
        f"data{number}", name=f"{name}-data", size=wanted.volume, enable_online_resize=True, opts=shared.opts
    )
    compute.VolumeAttach(
        f"attach{number}",
        instance_id=server.id,
        volume_id=volume.id,
        opts=shared.options(delete_before_replace=True),
    )
    address = networking.FloatingIp(f"address{number}", pool=EXTERNAL, description=name, opts=shared.opts)
    networking.FloatingIpAssociate(
        f"outside{number}",
        floating_ip=address.address,
        port_id=port.id,
        opts=shared.options(depends_on=[shared.leg]),
    )
    pulumi.export(f"address{number}", address.address)
    pulumi.export(f"inside{number}", server.access_ip_v4)
