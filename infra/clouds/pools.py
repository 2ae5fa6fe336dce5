"""What the settings of every cloud have in common: they say which nodes there are."""

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from refsys.infra.model import Strict
from refsys.platform.components.names import POOL_LABEL, PROCESSING_POOL

Role = Literal["control_plane", "worker"]


@dataclass(frozen=True)
class NodePool:
    """Nodes of one role and kind."""

    name: str
    role: Role
    """Names the inventory group."""
    names: Sequence[str]
    first_address: int
    """Number of the first node's address within the network."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of the nodes in Kubernetes."""
    taints: Sequence[str] = ()
    """Taints of the nodes in Kubernetes, as in `refsys/pool=processing:NoSchedule`."""
    count_field: str = ""
    """The field of the environment's config with the number of its nodes, as `local.workers` or `x.pools[1].count`;
    none where it is no number, or can't be changed."""
    bounds: tuple[int, int] | None = None
    """The fewest and the most nodes of the pool whose number follows the queue of production jobs."""


def numbered(name: str, count: int) -> list[str]:
    """Names of a pool's nodes: the pool's, and a number from 1."""
    return [f"{name}{number}" for number in range(1, count + 1)]


class CountedPool(Strict):
    """An entry in a cloud's list of pools, with a number of nodes."""

    name: str
    role: Role
    count: int
    labels: dict[str, str] = Field(default={}, description="labels of the nodes in Kubernetes")
    taints: list[str] = Field(default=[], description="taints of the nodes in Kubernetes")
    min: int = Field(default=0, ge=0, description="with `max`: number of nodes that are always there")
    max: int | None = Field(
        default=None,
        ge=1,
        description="set, the pool is for production jobs alone and follows their queue so far (docs/nodes.md)",
    )

    @model_validator(mode="after")
    def _in_bounds(self) -> Self:
        if self.max is None:
            return self
        if self.role != "worker":
            raise ValueError(f"pool {self.name}: production jobs run on workers; give it role worker, or no max")
        if self.labels or self.taints:
            raise ValueError(f"pool {self.name}: a pool with max has labels and taints of its own; remove these")
        if not self.min <= self.count <= self.max:
            raise ValueError(f"pool {self.name}: count must be from min to max, here from {self.min} to {self.max}")
        return self

    def of(self, pool: NodePool) -> NodePool:
        """The pool, with what its bounds make of it."""
        return pool if self.max is None else for_jobs(pool, (self.min, self.max))


def check_pools(pools: Sequence[CountedPool]) -> None:
    """Refuse pools that can't be told apart, and more than one for production jobs.

    Raises:
        ValueError: names the pools.
    """
    names = [pool.name for pool in pools]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two pools are called {twice[0]}; each needs its own name")
    if len(jobs := [pool.name for pool in pools if pool.max is not None]) > 1:
        raise ValueError(f"one pool follows the queue of jobs, here are {' and '.join(jobs)} with max")


class ProcessingPool(Strict):
    """Nodes for production jobs alone, as many as the queue of jobs asks for (docs/nodes.md)."""

    min: int = Field(default=0, ge=0, le=99, description="number of nodes that are always there")
    max: int = Field(default=2, ge=1, le=99, description="number of nodes that the queue may ask for")
    nodes: int | None = Field(
        default=None, ge=0, le=99, description="number of nodes now, which `./refsys scale` sets; default `min`"
    )

    @model_validator(mode="after")
    def _in_bounds(self) -> Self:
        if not self.min <= self.count <= self.max:
            raise ValueError(f"nodes must be from min to max, here from {self.min} to {self.max}")
        return self

    @property
    def count(self) -> int:
        """The number of nodes now."""
        return self.min if self.nodes is None else self.nodes

    def pool(self, cloud: str, first_address: int) -> NodePool:
        """The pool, of a cloud whose settings have it as their field `processing`."""
        return for_jobs(
            NodePool(
                PROCESSING_POOL,
                "worker",
                numbered("p", self.count),
                first_address,
                count_field=f"{cloud}.processing.nodes",
            ),
            (self.min, self.max),
        )


def for_jobs(pool: NodePool, bounds: tuple[int, int]) -> NodePool:
    """The pool with nodes that production jobs have to themselves, as many as their queue asks for within bounds."""
    taint = f"{POOL_LABEL}={PROCESSING_POOL}:NoSchedule"
    return replace(pool, labels={POOL_LABEL: PROCESSING_POOL}, taints=(taint,), bounds=bounds)


class CloudSettings(Strict, ABC):
    """Base of a cloud's settings."""

    @abstractmethod
    def pools(self) -> list[NodePool]:
        """The node pools, the control plane's first."""

    def jobs_pool(self) -> NodePool | None:
        """The pool that production jobs have to themselves, where there is one."""
        return next((pool for pool in self.pools() if pool.bounds), None)

    def check_network(self, network: str) -> None:
        """Refuse a network of the nodes that does not fit this cloud.

        Raises:
            ValueError: says what would fit.
        """
        given = ipaddress.ip_network(network)
        if given.prefixlen != 24 or not given.is_private:
            raise ValueError(f"cidr {network} must be a private /24 such as 10.150.7.0/24")
