"""Apply the rule: look at the queue, decide, and grow or shrink the pool, as often as it takes."""

import json
import time
from datetime import UTC, datetime

from rich.console import Console

from refsys.infra import paths
from refsys.infra.clouds.pools import NodePool
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.nodes.members import Members, is_leaving
from refsys.infra.nodes.scale import scale
from refsys.infra.scaling.rule import Bounds, Load, Memory, changed, decide
from refsys.infra.scaling.seen import Pool, look

PERIOD_SECONDS = 30.0
FILE = "scaling.json"
"""What is remembered from one look to the next, in the environment's folder."""
MIB_IN_GIB = 1024


def follow(name: str, console: Console, *, verbose: bool = False) -> None:
    """Look at the queue until the command is stopped; what fails is told, and tried again."""
    last = ""
    while True:
        try:
            told = step(name, console, verbose=verbose)
        except UserError as error:
            told = str(error)
        if told != last:
            console.print(f"{datetime.now(UTC):%H:%M:%S} {told}", highlight=False, markup=False)
        last = told
        time.sleep(PERIOD_SECONDS)


def step(name: str, console: Console, *, verbose: bool = False) -> str:
    """Look once, and change the pool where it is time to; returns what was seen and done.

    Raises:
        UserError: there is no such pool; the cluster can't be asked; the pool can't be changed.
    """
    environment = Environment.load(name)
    pool = _processing(environment)
    with Members(name) as members:
        found = look(members)
        decision = decide(found.seen, _bounds(environment, pool), len(pool.names), _recall(name), time.time())
        wanted = decision.nodes
        leaving = list(pool.names[wanted:])
        _mark(members, pool, leaving)
    _remember(name, decision.memory)
    if busy := [node for node in leaving if found.jobs.get(node)]:
        # Only the last ones can go: names have no gaps.
        wanted = pool.names.index(busy[-1]) + 1
    if wanted != len(pool.names):
        console.print(f"pool {pool.name}: {decision.why}", highlight=False, markup=False)
        scale(name, pool.name, wanted, console, verbose=verbose)
        _remember(name, changed(time.time()))
    return _told(found, decision.why, wanted, busy)


def _processing(environment: Environment) -> NodePool:
    found = environment.settings.jobs_pool()
    if found is None:
        raise UserError(
            f"environment {environment.name} has no pool whose number of nodes follows the queue of production jobs",
            fix=f"add one to refsys:{environment.cloud} (docs/nodes.md#nodes-for-production-jobs), then "
            f"./refsys up {environment.name}",
        )
    return found


def _bounds(environment: Environment, pool: NodePool) -> Bounds:
    quotas = {
        mission: Load(quota["jobs"], quota["cpus"], quota["memory_gib"] * MIB_IN_GIB)
        for mission, quota in environment.production.model_dump().items()
    }
    least, most = pool.bounds or (len(pool.names), len(pool.names))
    return Bounds(least, most, quotas)


def _mark(members: Members, pool: NodePool, leaving: list[str]) -> None:
    """Let nodes that are to leave take no new jobs, and others take them again."""
    for name, node in members.nodes().items():
        if name in pool.names and is_leaving(node) != (name in leaving):
            (members.let_go if name in leaving else members.take_back)(name)


def _recall(name: str) -> Memory:
    file = paths.environment_home(name) / FILE
    if not file.exists():
        return Memory()
    found = json.loads(file.read_text())
    return Memory(tuple((float(at), int(number)) for at, number in found["needed"]), float(found["changed"]))


def _remember(name: str, memory: Memory) -> None:
    paths.write_private(
        paths.environment_home(name) / FILE, json.dumps({"needed": memory.needed, "changed": memory.changed})
    )


def _told(found: Pool, why: str, wanted: int, busy: list[str]) -> str:
    told = f"{wanted} node{'' if wanted == 1 else 's'}: {why}"
    if busy:
        told += f"; {', '.join(busy)} take no new jobs, and go when theirs have ended"
    if found.too_big:
        told += f"; {', '.join(found.too_big)} ask for more than a whole node has"
    return told
