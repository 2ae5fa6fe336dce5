"""A change of an environment's nodes: the engine changes those that are named, and leaves all others as they are."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from rich.console import Console

from refsys.infra.cli import status, tools
from refsys.infra.cli.locks import exclusive
from refsys.infra.cli.stack import Stack
from refsys.infra.cli.steps import Steps
from refsys.infra.clouds.pools import NodePool
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.infrastructure import NODES
from refsys.infra.layers import TOP, VARIABLE, Layer, reaches
from refsys.infra.nodes.members import DRAIN_SECONDS, Members, is_ready
from refsys.infra.policies.compare import compare


@dataclass(frozen=True)
class Change:
    """The nodes of one environment, held by this command."""

    environment: Environment
    stack: Stack
    steps: Steps
    machines: Mapping[str, str]
    """URN of each machine that was made, by its node's name."""
    until: Layer
    """How far the environment was brought up."""
    members: Members | None
    """The cluster's nodes; None where there is no cluster yet."""
    drain_seconds: int = DRAIN_SECONDS
    """How long the pods of a node may take to leave it."""

    def refuse_volumes(self, nodes: Collection[str], what: str) -> None:
        """Refuse to give up nodes with volumes that are nowhere else.

        Raises:
            UserError: names the node and its volumes; `what` is not done.
        """
        for node in sorted(nodes):
            if claims := self.members.claims(node) if self.members else []:
                raise UserError(
                    f"node {node} holds the volumes of {', '.join(claims)}, which would be lost: {what}",
                    fix="keep the node; its data goes to another environment by backup and restore "
                    "(docs/nodes.md#nodes-with-volumes)",
                )

    def drain(self, nodes: Sequence[str]) -> None:
        """Have the pods of nodes end or go elsewhere; nodes that the cluster doesn't hear of have none to end.

        Raises:
            UserError: names the pods that stay; the nodes take pods again.
        """
        if self.members is None:
            return
        known = self.members.nodes()
        closed = []
        try:
            for node in nodes:
                if node in known and is_ready(known[node]):
                    if not known[node]["spec"].get("unschedulable"):
                        closed.append(node)
                    with self.steps.step(f"empty {node}"):
                        self.members.drain(node, self.drain_seconds)
        except BaseException:
            for node in closed:
                self.members.uncordon(node)
            raise

    def up(self, changed: Collection[str], replace: Collection[str] = ()) -> None:
        """Bring the environment to what its config says, but leave all machines as they are except those `changed`.

        Raises:
            UserError: with the reason of each failed resource.
        """
        self.stack.up(replace=self._urns(replace), exclude=self._others(changed))

    def judge(self, changed: Collection[str], replace: Collection[str] = ()) -> None:
        """Compare with the policies what `up` would make. That nodes go is the commands' own concern.

        Raises:
            UserError: names each rule that would be broken, and the fix.
        """
        compare(
            self.environment,
            self.stack,
            self.steps,
            unprotected=True,
            replace=self._urns(replace),
            exclude=self._others(changed),
        )

    def settle(self, nodes: Collection[str], older: Mapping[str, str] | None = None) -> None:
        """Wait until these nodes are Ready and the environment is well; `older`: see `replace`.

        Raises:
            UserError: with what is not as it should be.
        """
        if self.members is None:
            return
        for node in nodes:
            with self.steps.step(f"wait until {node} is ready") as note:
                self.members.wait_until_ready(node, (older or {}).get(node), note)
        if self.until == TOP:
            with self.steps.step("wait until all is well") as note:
                status.wait_until_well(self.environment.name, note)

    def replace(self, node: str) -> None:
        """Make a node anew: empty it, replace its machine, and wait until it is back and all is well.

        Raises:
            UserError: with what failed; the same again begins anew.
        """
        self.judge([node], replace=[node])
        known = self.members.nodes() if self.members else {}
        older = {node: known[node]["metadata"]["uid"]} if node in known else {}
        self.drain([node])
        self.up([node], replace=[node])
        self.settle([node], older)

    def _urns(self, nodes: Collection[str]) -> list[str]:
        return [self.machines[node] for node in nodes]

    def _others(self, nodes: Collection[str]) -> list[str]:
        return [urn for node, urn in self.machines.items() if node not in nodes]


@contextmanager
def changing(
    name: str, console: Console, *, drain_seconds: int = DRAIN_SECONDS, verbose: bool = False
) -> Iterator[Change]:
    """Hold an environment for a change of its nodes; pods may take `drain_seconds` to leave one.

    Raises:
        UserError: it is not up, or another command holds it.
    """
    environment = Environment.load(name)
    with exclusive(name), Steps(console) as steps, ExitStack() as opened:
        tools.Building(steps, wanted=tools.built(environment)).finish()
        with steps.step("read the state"):
            stack = Stack(name, steps, verbose=verbose)
            outputs = stack.outputs()
        if not {NODES, "until"} <= outputs.keys():
            raise UserError(
                f"environment {name} does not tell which machines it has",
                fix=f"it is not up, or older than this checkout: ./refsys up {name}",
            )
        until: Layer = outputs["until"]
        os.environ[VARIABLE] = until
        members = opened.enter_context(Members(name)) if reaches(until, "cluster") else None
        yield Change(environment, stack, steps, outputs[NODES], until, members, drain_seconds)


def pool_of(environment: Environment, name: str) -> NodePool:
    """The pool of that name.

    Raises:
        UserError: there is none.
    """
    pools = {pool.name: pool for pool in environment.settings.pools()}
    if name not in pools:
        raise UserError(f"environment {environment.name} has no pool {name!r}", fix=f"take one of: {', '.join(pools)}")
    return pools[name]
