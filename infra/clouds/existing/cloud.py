"""The existing cloud behind the common interface."""

import socket
from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import pulumi

from refsys.infra.clouds.existing import facts
from refsys.infra.clouds.existing.remote import Login
from refsys.infra.clouds.existing.resources import ExistingNode, release
from refsys.infra.clouds.existing.settings import Existing
from refsys.infra.clouds.interface import Cloud, Machine
from refsys.infra.clouds.local.resources import HostNames
from refsys.infra.clouds.pools import NodePool
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError


class ExistingCloud(Cloud):
    """Machines that somebody else made, and keeps."""

    makes_machines: ClassVar[bool] = False

    def __init__(self, environment: Environment) -> None:
        """Take the machines from the environment's model."""
        super().__init__(environment)
        self.settings = cast(Existing, environment.settings)
        self.variables = {"shared_kernel": self.settings.shared_kernel}

    def preflight(self) -> None:
        """Look at every machine."""
        facts.check(self.environment.name, self.settings.machines)

    def controller(self) -> str:
        """This machine's address on the way to the first node, unless the config says how nodes see it."""
        if self.settings.controller:
            return self.settings.controller
        first = self.settings.machines[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # Nothing is sent: the kernel only chooses the way.
                probe.connect((first.address, first.port))
            except OSError as error:
                raise UserError(
                    f"this machine has no way to {first.name} ({first.address}): {error}",
                    fix="correct its address, or set refsys:existing.controller",
                ) from None
            return str(probe.getsockname()[0])

    def node_pool(self, pool: NodePool, public_key: pulumi.Input[str]) -> list[Machine]:
        """The pool's machines, taken over."""
        machines = []
        for machine in (each for each in self.settings.machines if each.name in pool.names):
            node = ExistingNode(machine, environment=self.environment.name, public_key=public_key)
            machines.append(
                Machine(
                    machine.name,
                    pool.role,
                    machine.address,
                    node.instance,
                    machine.host_key,
                    node,
                    ssh_port=machine.port,
                    pool=pool,
                )
            )
        return machines

    def load_balancer(self, ports: Mapping[int, int], machines: Sequence[Machine]) -> pulumi.Output[str]:
        """The one that somebody else keeps."""
        return pulumi.Output.from_input(self.settings.entrance)

    def host_names(self, names: Mapping[str, pulumi.Input[str]]) -> HostNames:
        """Names in this machine's /etc/hosts."""
        return HostNames("host-names", environment=self.environment.name, names=names)

    def sweep(self) -> None:
        """Release what a failed removal left."""
        left = []
        for machine in self.settings.machines:
            try:
                release(self.environment.name, Login.given(machine))
            except UserError as error:
                left.append(str(error.args[0]))
        if left:
            raise UserError(
                f"some machines of {self.environment.name} could not be released:\n"
                + "\n".join(f"    {reason}" for reason in left),
                fix=f"make them reachable and run ./refsys down {self.environment.name} again; a machine that is gone "
                "for good is taken out of refsys:existing first",
            )
