"""What an environment may say about the `local` cloud."""

from pydantic import Field

from refsys.infra.clouds.pools import CloudSettings, NodePool, numbered
from refsys.infra.model import Size


class Local(CloudSettings):
    """The `local` cloud: nodes on this machine."""

    workers: int = Field(default=1, ge=1, le=99, description="number of worker nodes")
    control_plane: Size = Size(memory_mib=3072, cpus=2)
    worker: Size = Size(memory_mib=8192, cpus=2)

    def pools(self) -> list[NodePool]:
        """One node for the control plane, and the workers."""
        return [
            NodePool("cp", "control_plane", numbered("cp", 1), first_address=10),
            NodePool("w", "worker", numbered("w", self.workers), first_address=20),
        ]
