"""What an environment says about an OpenStack."""

import ipaddress
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from refsys.infra.clouds.pools import CloudSettings, CountedPool, NodePool, check_pools, numbered

FIRST_ADDRESS = 10
"""Numbers below belong to router, bastion and load balancer."""
BASTION_ADDRESS = 4
BALANCER_ADDRESS = 5
GATEWAY_POOL = "gateway"
"""Where a pool has this name, its nodes alone take what comes from outside."""


class OpenStackPool(CountedPool):
    """A pool of servers."""

    name: str = Field(
        pattern=r"^[a-z]([a-z-]{0,13}[a-z])?$", description="letters and hyphens; nodes are called by it, with a number"
    )
    count: int = Field(ge=0, le=200, description="number of nodes")
    flavor: str = Field(min_length=1, description="name of the flavour")
    first_address: int = Field(
        ge=FIRST_ADDRESS,
        description="number of the first node's address within `cidr`; leave room to grow before the next pool's",
    )
    volume_gib: int | None = Field(default=None, ge=1, description="size of a data volume of each node, GiB")
    volume_type: str | None = Field(default=None, description="type of the volume, as one that is encrypted")
    floating: bool = Field(default=False, description="each node has a floating address of its own")
    spread: Literal["must", "should"] = Field(
        default="should", description="whether nodes of the pool must be, or should be, on different hosts"
    )


class OpenStack(CloudSettings):
    """The `openstack` cloud (docs/clouds/openstack.md)."""

    cloud: str | None = Field(default=None, description="entry of clouds.yaml with address and credentials")
    auth_url: str | None = Field(default=None, pattern=r"^https?://", description="address of Keystone, instead of it")
    application_credential_id: str | None = Field(default=None, description="beside `auth_url`")
    application_credential_secret: SecretStr | None = Field(
        default=None, description="set it encrypted: pulumi config set --secret --path …"
    )
    ca_file: str | None = Field(default=None, description="authority of the cloud's certificates; none for public ones")
    region: str | None = Field(default=None, description="region; default the credentials'")
    external_network: str = Field(description="name of the network that floating addresses come from")
    availability_zone: str | None = Field(default=None, description="of servers and volumes; default the cloud's own")
    nameservers: list[str] = Field(default=[], description="name servers of the nodes; default the cloud's")
    image: str = Field(min_length=1, description="name of the nodes' image")
    image_file: str | None = Field(
        default=None, description="qcow2 file to upload under that name, as `./refsys image build` makes one"
    )
    bastion_flavor: str = Field(min_length=1, description="flavour of the bastion, the only way to SSH of the nodes")
    load_balancer: Literal["octavia", "haproxy"] = Field(
        default="octavia", description="Octavia, or a server with HAProxy where the cloud has none"
    )
    balancer_flavor: str | None = Field(default=None, description="haproxy: flavour of its server")
    nodes: list[OpenStackPool] = Field(description="pools")
    containers: list[str] = Field(default=[], description="containers in the object store, as for backups")

    @field_validator("nodes")
    @classmethod
    def _fit_together(cls, pools: list[OpenStackPool]) -> list[OpenStackPool]:
        check_pools(pools)
        masters = sum(pool.count for pool in pools if pool.role == "control_plane")
        if masters not in (1, 3, 5):
            raise ValueError(f"there are {masters} nodes of the control plane; take 1, 3 or 5")
        if not sum(pool.count for pool in pools if pool.role == "worker"):
            raise ValueError("there is no worker; volumes need one, so give a pool with role worker a count")
        ordered = sorted(pools, key=lambda pool: pool.first_address)
        for pool, after in pairwise(ordered):
            if pool.first_address + pool.count > after.first_address:
                raise ValueError(
                    f"addresses of pool {pool.name} ({pool.count} from {pool.first_address}) run into those of "
                    f"{after.name} (from {after.first_address}); first_address of a pool whose nodes exist must stay"
                )
        return pools

    @model_validator(mode="after")
    def _logs_in(self) -> Self:
        by_key = (self.auth_url, self.application_credential_id, self.application_credential_secret)
        if self.cloud and any(by_key):
            raise ValueError("credentials come from `cloud` or from an application credential, not from both")
        if not self.cloud and not all(by_key):
            raise ValueError(
                "credentials are missing: name an entry of clouds.yaml in `cloud`, or give `auth_url`, "
                "`application_credential_id` and `application_credential_secret`"
            )
        if self.load_balancer == "haproxy" and not self.balancer_flavor:
            raise ValueError("load_balancer haproxy needs balancer_flavor, the flavour of its server")
        return self

    def pools(self) -> list[NodePool]:
        """The pools, the control plane's first."""
        made = [
            pool.of(
                NodePool(
                    pool.name,
                    pool.role,
                    numbered(pool.name, pool.count),
                    first_address=pool.first_address,
                    labels=pool.labels,
                    taints=pool.taints,
                    count_field=f"openstack.nodes[{place}].count" if pool.role == "worker" else "",
                )
            )
            for place, pool in enumerate(self.nodes)
        ]
        return sorted(made, key=lambda pool: pool.role != "control_plane")

    def pool(self, name: str) -> OpenStackPool:
        """The pool of that name."""
        return next(pool for pool in self.nodes if pool.name == name)

    def check_network(self, network: str) -> None:
        """A private network with room for all pools."""
        given = ipaddress.ip_network(network)
        if not given.is_private or not 16 <= given.prefixlen <= 24:
            raise ValueError(f"cidr {network} must be private, from a /16 to a /24, such as 192.168.0.0/20")
        # The last sixteenth is left to the cloud: DHCP, load balancer.
        room = given.num_addresses // 16 * 15
        for pool in self.nodes:
            last = pool.first_address + pool.count - 1
            if last >= room:
                raise ValueError(
                    f"pool {pool.name} needs addresses up to number {last} of {network}, "
                    f"which has {room - 1} for nodes; give a larger cidr or a lower first_address"
                )
