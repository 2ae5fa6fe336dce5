"""`./refsys scale`: the number of nodes in a pool, by hand or after the queue of production jobs."""

from typing import Annotated

import typer
from rich.console import Console

from refsys.infra.errors import UserError
from refsys.infra.nodes import scale as pools
from refsys.infra.nodes.members import DRAIN_SECONDS


def scale(
    words: Annotated[list[str] | None, typer.Argument(metavar="[ENV] POOL N", help="With --auto only [ENV].")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Let pool `processing` follow the queue, until Ctrl-C.")] = False,
    once: Annotated[bool, typer.Option("--once", help="With --auto: look once, for a timer.")] = False,
    timeout: Annotated[
        int, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long a node's pods may take to leave it.")
    ] = DRAIN_SECONDS,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show the tools' own output.")] = False,
) -> None:
    """Have N nodes in a pool; nodes that leave are emptied first, as their pods' disruption budgets allow."""
    console = Console()
    given = words or []
    if auto:
        from refsys.infra.scaling import auto as queue  # noqa: PLC0415 - Kubernetes' client takes half a second

        name = _environment(given)
        if once:
            console.print(queue.step(name, console, verbose=verbose), highlight=False, markup=False)
        else:
            queue.follow(name, console, verbose=verbose)
        return
    if once:
        raise UserError("--once goes with --auto", fix="./refsys scale --auto --once [ENV]")
    name, pool, count = _asked(given)
    pools.scale(name, pool, count, console, drain_seconds=timeout, verbose=verbose)


def _environment(words: list[str]) -> str:
    if len(words) > 1:
        raise UserError(f"{' '.join(words)!r} is no environment", fix="./refsys scale --auto [ENV]")
    return words[0] if words else "local"


def _asked(words: list[str]) -> tuple[str, str, int]:
    match words:
        case [pool, count] if count.isdigit():
            return "local", pool, int(count)
        case [name, pool, count] if count.isdigit():
            return name, pool, int(count)
        case _:
            raise UserError(
                f"{' '.join(words)!r} does not say which pool shall have how many nodes",
                fix="./refsys scale [ENV] POOL N, as ./refsys scale local w 3; ./refsys node list shows the pools",
            )
