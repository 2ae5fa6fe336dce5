"""What an environment may say about the `local` cloud."""

from pydantic import Field

from refsys.infra.clouds.pools import CloudSettings, NodePool, ProcessingPool, numbered
from refsys.infra.model import Size


class LocalProcessing(ProcessingPool, Size):
    """Nodes for production jobs alone."""


class Local(CloudSettings):
    """The `local` cloud: nodes on this machine."""

    workers: int = Field(default=1, ge=1, le=99, description="number of worker nodes")
    control_plane: Size = Size(memory_mib=3072, cpus=2)
    worker: Size = Size(memory_mib=8192, cpus=2)
    processing: LocalProcessing | None = None

    def pools(self) -> list[NodePool]:
        """One node for the control plane, the workers, and where it is asked for the pool of production jobs."""
        pools = [
            NodePool("cp", "control_plane", numbered("cp", 1), first_address=10),
            NodePool("w", "worker", numbered("w", self.workers), first_address=20, count_field="local.workers"),
        ]
        return pools + ([self.processing.pool("local", first_address=130)] if self.processing else [])

    def size_of(self, pool: NodePool) -> Size:
        """The size of each node of a pool."""
        if self.processing and pool.bounds:
            return self.processing
        return self.control_plane if pool.role == "control_plane" else self.worker
