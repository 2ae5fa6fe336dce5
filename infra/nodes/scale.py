"""Grow and shrink a pool: its number in the config is changed, and what leaves is emptied first."""

import re
import time
from itertools import pairwise
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from refsys.infra.clouds.pools import NodePool
from refsys.infra.clouds.select import cloud_of
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.nodes.change import changing, pool_of
from refsys.infra.nodes.members import DRAIN_SECONDS, is_ready


def scale(
    name: str,
    pool_name: str,
    count: int,
    console: Console,
    *,
    drain_seconds: int = DRAIN_SECONDS,
    verbose: bool = False,
) -> None:
    """Have a pool of `count` nodes; pods may take `drain_seconds` to leave one. Safe to run again at any time.

    Raises:
        UserError: it can't have as many; a node can't be emptied, or holds volumes; with the reason of what failed.
    """
    started = time.monotonic()
    environment = Environment.load(name)
    wanted = resized(environment, pool_of(environment, pool_name), count)
    pool = pool_of(wanted, pool_name)
    cloud_of(wanted).preflight()
    with changing(name, console, drain_seconds=drain_seconds, verbose=verbose) as change:
        declared = {node for each in wanted.settings.pools() for node in each.names}
        leaving = sorted(change.machines.keys() - declared)
        ready = (
            {n for n, node in change.members.nodes().items() if is_ready(node)} if change.members else change.machines
        )
        coming = [node for node in pool.names if node not in change.machines or node not in ready]
        if pool == pool_of(environment, pool_name) and not leaving and not coming:
            console.print(f"pool {pool.name} has {_counted(pool)} already")
            return
        change.refuse_volumes(leaving, f"pool {pool.name} stays as it is")
        change.drain(leaving)
        change.stack.configure(pool.count_field, count)
        if coming:
            try:
                change.judge([*leaving, *coming])
            except UserError:
                change.stack.configure(pool.count_field, len(pool_of(environment, pool_name).names))
                raise
        change.up([*leaving, *coming])
        change.settle(coming)
    seconds = time.monotonic() - started
    console.print(f"pool {pool.name} of {name} has {_counted(pool)} after {seconds:.0f} s", highlight=False)


def resized(environment: Environment, pool: NodePool, count: int) -> Environment:
    """The environment with another number of nodes in a pool.

    Raises:
        UserError: the pool can't have as many.
    """
    if not pool.count_field:
        raise UserError(
            f"the number of nodes in pool {pool.name} can't be changed",
            fix="choose a pool of workers: ./refsys node list shows them",
        )
    values = environment.model_dump(exclude_unset=True)
    _set(values, _path(pool.count_field), count)
    try:
        return Environment.model_validate(values)
    except ValidationError as error:
        reasons = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise UserError(
            f"pool {pool.name} can't have {count} nodes: {reasons}",
            fix=f"choose another number, or change refsys:{pool.count_field.rpartition('.')[0]} in "
            f"Pulumi.{environment.name}.yaml (docs/reference/environment.md)",
        ) from None


def _path(field: str) -> list[str | int]:
    """The steps to a field: `a.b[1].c`."""
    return [int(word) if word.isdigit() else word for word in re.findall(r"[^.\[\]]+", field)]


def _set(values: dict[str, Any], path: list[str | int], count: int) -> None:
    inner: Any = values
    for step, after in pairwise(path):
        if isinstance(step, str):
            inner = inner.setdefault(step, [] if isinstance(after, int) else {})
        elif step < len(inner):
            inner = inner[step]
        else:
            field = "".join(f"[{word}]" if isinstance(word, int) else f".{word}" for word in path)
            raise UserError(
                f"the config does not have refsys:{field.removeprefix('.')}, only the default has",
                fix="write the pools into the config as docs/reference/environment.md says, then run this again",
            )
    inner[path[-1]] = count


def _counted(pool: NodePool) -> str:
    number = len(pool.names)
    return f"{number} node{'' if number == 1 else 's'}" + (f" ({', '.join(pool.names)})" if number else "")
