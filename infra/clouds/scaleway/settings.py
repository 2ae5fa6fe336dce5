"""What an environment may say about Scaleway (docs/clouds/scaleway.md)."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from refsys.infra.clouds.pools import CloudSettings, CountedPool, NodePool, check_pools, numbered

Zone = Literal[
    "fr-par-1",
    "fr-par-2",
    "fr-par-3",
    "nl-ams-1",
    "nl-ams-2",
    "nl-ams-3",
    "pl-waw-1",
    "pl-waw-2",
    "pl-waw-3",
]
FIRST_ADDRESS = 10
"""Number of the first node's address; those below are the gateway's, the load balancer's and the bastion's."""
GATEWAY_ADDRESS, BALANCER_ADDRESS, BASTION_ADDRESS = 2, 3, 4
POOL_ADDRESSES = 20
"""Addresses of a pool, so that another node of one moves no node of the next."""


class ScalewayPool(CountedPool):
    """Instances of one role and type."""

    name: str = Field(pattern=r"^[a-z]{1,12}$", description="nodes are called <name>1, <name>2, …")
    count: int = Field(default=1, ge=0, le=POOL_ADDRESSES, description="number of nodes")
    type: str = Field(pattern=r"^[A-Z0-9-]+$", description="commercial type, as in POP2-4C-16G")
    disk_gb: int = Field(default=40, ge=20, le=10_000, description="disk that the node boots from, GB")
    volume_gb: int | None = Field(default=None, ge=5, le=10_000, description="block volume for the node's volumes, GB")
    volume_iops: Literal[5000, 15000] = Field(default=5000, description="operations a second of the block volume")


class Scaleway(CloudSettings):
    """The `scaleway` cloud."""

    zone: Zone = Field(default="fr-par-1", description="availability zone; its region is fr-par, nl-ams or pl-waw")
    project: str | None = Field(
        default=None, pattern=r"^[0-9a-f-]{36}$", description="id of the project; default SCW_DEFAULT_PROJECT_ID"
    )
    profile: str | None = Field(default=None, description="profile of Scaleway's config file with the API key")
    access_key: str | None = Field(default=None, description="of the API key")
    secret_key: SecretStr | None = Field(
        default=None, description="of the API key: pulumi config set --secret --path refsys:scaleway.secret_key"
    )
    image: str = Field(default="debian_bookworm", description="label or id of the nodes' image, Debian 12")
    bastion: str = Field(default="PLAY2-PICO", description="type of the bastion, the only way to SSH of the nodes")
    gateway: str = Field(default="VPC-GW-S", description="type of the public gateway, the nodes' way out")
    load_balancer: str = Field(default="LB-S", description="type of the load balancer, the users' way in")
    dns_zone: str | None = Field(
        default=None, description="zone of Scaleway's DNS that the environment's names are put into"
    )
    buckets: list[str] = Field(default=[], description="private buckets refsys-<environment>-<name>")
    nodes: list[ScalewayPool] = Field(
        default=[
            ScalewayPool(name="cp", role="control_plane", type="POP2-HC-4C-8G"),
            ScalewayPool(name="w", role="worker", count=2, type="POP2-4C-16G", volume_gb=200),
        ],
        min_length=2,
        max_length=12,
        description="pools; add new ones at the end, addresses go by their place",
    )

    @model_validator(mode="after")
    def _pools_fit(self) -> Self:
        if self.nodes[0].role != "control_plane" or self.nodes[0].count < 1:
            raise ValueError("nodes: the first pool must be one of role control_plane with a node")
        if not any(pool.role == "worker" and pool.count for pool in self.nodes):
            raise ValueError("nodes: a pool of role worker with a node is missing")
        check_pools(self.nodes)
        return self

    @model_validator(mode="after")
    def _key_is_whole(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together; give both or none")
        if self.profile and self.access_key:
            raise ValueError("the API key comes from a profile or from access_key and secret_key, not from both")
        return self

    @property
    def region(self) -> str:
        """The region of the zone."""
        return self.zone[:-2]

    def pools(self) -> list[NodePool]:
        """The pools, each with its own range of addresses."""
        return [
            pool.of(
                NodePool(
                    pool.name,
                    pool.role,
                    numbered(pool.name, pool.count),
                    first_address=FIRST_ADDRESS + POOL_ADDRESSES * place,
                    labels=pool.labels,
                    taints=pool.taints,
                    count_field=f"scaleway.nodes[{place}].count" if pool.role == "worker" else "",
                )
            )
            for place, pool in enumerate(self.nodes)
        ]

    def pool(self, name: str) -> ScalewayPool:
        """The settings of the pool of that name."""
        return next(pool for pool in self.nodes if pool.name == name)
