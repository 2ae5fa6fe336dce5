"""What an environment's config says of its policies."""

from typing import Literal

from pydantic import Field

from refsys.infra.model import Strict

RuleName = Literal[
    "ssh-from-anywhere",
    "unencrypted-volume",
    "missing-tags",
    "public-bucket",
    "protected",
    "too-many-nodes",
    "too-many-vcpus",
    "too-expensive",
]


class Limits(Strict):
    """How large an environment may become; without a figure there is no limit."""

    nodes: int | None = Field(default=None, ge=1, description="nodes")
    vcpus: float | None = Field(default=None, gt=0, description="processors of all nodes together")
    cost_per_month: float | None = Field(default=None, ge=0, description="EUR, by the price table")


class Waiver(Strict):
    """A finding that is accepted."""

    rule: RuleName
    resource: str = Field(min_length=1, description="name of the resource; `*` stands for anything")
    reason: str = Field(min_length=10, description="why it is accepted, and by whom")


class Policies(Strict):
    """What the rules look for beside that which holds everywhere (docs/safety.md)."""

    tags: list[str] = Field(default=[], description="keys that every resource that can have tags must have")
    encrypted_volume_types: list[str] = Field(
        default=[], description="the cloud's volume types that encrypt; volumes of other types are then refused"
    )
    waivers: list[Waiver] = Field(default=[], description="findings that are accepted")
