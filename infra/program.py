"""From the environment's model to its resources, layer by layer."""

import pulumi

from refsys.infra.clouds.interface import Cloud, Machine, NodePool
from refsys.infra.clouds.select import cloud_of
from refsys.infra.environment import SPACE, Environment
from refsys.infra.ssh import SshKey


def environment_of_stack() -> Environment:
    """The environment of the stack that the engine is running."""
    config = pulumi.runtime.config.CONFIG.get()
    values = {key.removeprefix(SPACE): value for key, value in config.items() if key.startswith(SPACE)}
    return Environment.parse(pulumi.get_stack(), values)


def wire(environment: Environment) -> None:
    """Declare every resource of the environment."""
    cloud = cloud_of(environment)
    cloud.preflight()
    key = SshKey(environment.name)
    machines = _nodes(environment, cloud, key)
    pulumi.export("nodes", {machine.name: machine.address for machine in machines})


def _nodes(environment: Environment, cloud: Cloud, key: SshKey) -> list[Machine]:
    local = environment.local
    workers = [f"w{number}" for number in range(1, local.workers + 1)]
    pools = [
        NodePool("control_plane", ["cp1"], local.control_plane, first_address=10),
        NodePool("worker", workers, local.worker, first_address=20),
    ]
    return [machine for pool in pools for machine in cloud.node_pool(pool, key.public_key)]
