"""Make nodes anew: one, or those of a pool whose image or config has changed, one after the other."""

import time

from rich.console import Console

from refsys.infra.clouds.pools import NodePool
from refsys.infra.clouds.select import cloud_of
from refsys.infra.errors import UserError
from refsys.infra.health.examine import examine
from refsys.infra.layers import TOP
from refsys.infra.nodes.change import Change, changing, pool_of
from refsys.infra.nodes.members import DRAIN_SECONDS, is_ready


def replace(
    name: str, node: str, console: Console, *, drain_seconds: int = DRAIN_SECONDS, verbose: bool = False
) -> None:
    """Make one node anew, whatever it is like.

    Raises:
        UserError: it can't be made anew; with the reason of what failed.
    """
    started = time.monotonic()
    with changing(name, console, drain_seconds=drain_seconds, verbose=verbose) as change:
        pools = {each: pool for pool in change.environment.settings.pools() for each in pool.names}
        if node not in pools:
            raise UserError(f"environment {name} has no node {node!r}", fix=f"take one of: {', '.join(pools)}")
        _refuse(change, pools[node], node)
        if not cloud_of(change.environment).keeps_volumes(pools[node]):
            change.refuse_volumes([node], "it is not made anew")
        change.replace(node)
    console.print(f"node {node} of {name} is made anew after {time.monotonic() - started:.0f} s", highlight=False)


def roll(
    name: str, pool_name: str, console: Console, *, drain_seconds: int = DRAIN_SECONDS, verbose: bool = False
) -> None:
    """Make those nodes of a pool anew that are not as image and config say, one at a time; goes on where it stopped.

    Raises:
        UserError: with the node at which it stopped, why, and what is still to be done.
    """
    started = time.monotonic()
    with changing(name, console, drain_seconds=drain_seconds, verbose=verbose) as change:
        pool = pool_of(change.environment, pool_name)
        for node in pool.names:
            _refuse(change, pool, node)
        kept = [] if cloud_of(change.environment).keeps_volumes(pool) else _with_volumes(change, pool)
        nodes = [node for node in pool.names if node not in kept]
        with change.steps.step("look which nodes are not as image and config say"):
            found = change.stack.outdated([change.machines[node] for node in nodes]) if nodes else set()
        outdated = [node for node in nodes if change.machines[node] in found]
        _finish(change, [node for node in nodes if node not in outdated])
        _one_by_one(change, pool, outdated)
    told = f"{', '.join(outdated)} made anew" if outdated else "no node had to be made anew"
    console.print(f"pool {pool.name} of {name}: {told} after {time.monotonic() - started:.0f} s", highlight=False)
    if kept:
        left = f"{', '.join(kept)} stays as it was made: it holds volumes, which would be lost (docs/nodes.md)"
        console.print(left, highlight=False)


def _refuse(change: Change, pool: NodePool, node: str) -> None:
    if pool.role == "control_plane":
        raise UserError(
            f"node {node} is of the control plane: it holds the cluster's state, and the registry",
            fix="change it in a new environment beside this one, and move there by backup and restore "
            "(docs/security/secrets.md)",
        )
    if node not in change.machines or not cloud_of(change.environment).makes_machines:
        raise UserError(
            f"the machine of node {node} was not made by this environment",
            fix=f"make it anew where it comes from, then ./refsys up {change.environment.name}",
        )


def _finish(change: Change, nodes: list[str]) -> None:
    """Go on with nodes that were made anew, but are not back."""
    known = change.members.nodes() if change.members else {}
    away = [node for node in nodes if node not in known or not is_ready(known[node])] if change.members else []
    if away:
        change.up(away)
        change.settle(away)


def _with_volumes(change: Change, pool: NodePool) -> list[str]:
    members = change.members
    return [node for node in pool.names if members.claims(node)] if members else []


def _one_by_one(change: Change, pool: NodePool, nodes: list[str]) -> None:
    name = change.environment.name
    rolled: list[str] = []
    if nodes and change.until == TOP and not (report := examine(name)).well:
        lacking = "; ".join(f"{part.name}: {finding.what}" for part, finding in report.serious)
        raise UserError(
            f"environment {name} is not well, so no node is made anew: {lacking or 'not all of it is known'}",
            fix=f"./refsys status {name} says what to do; then run this again",
        )
    for node in nodes:
        try:
            change.replace(node)
        except UserError as error:
            left = [each for each in nodes if each not in rolled]
            raise UserError(
                f"rolling pool {pool.name} stopped at {node}: {error.args[0]}\n"
                f"    made anew: {', '.join(rolled) or 'none'}; still to do: {', '.join(left)}",
                fix=f"{error.fix}\n       then ./refsys node roll {pool.name} {name}, which goes on with {node}",
            ) from error
        rolled.append(node)
