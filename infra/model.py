"""What all parts of the environment's model are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Cidr = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+\.\d+/\d+$")]


class Strict(BaseModel):
    """Base of all parts: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Size(Strict):
    """Size of a node."""

    memory_mib: int = Field(ge=1024, description="memory limit, MiB")
    cpus: float = Field(gt=0, description="processor limit, cores")
