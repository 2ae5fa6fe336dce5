"""`./refsys node`: the nodes of an environment, made anew one by one."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from refsys.infra.environment import Environment
from refsys.infra.nodes import listing
from refsys.infra.nodes import roll as rolling
from refsys.infra.nodes.members import DRAIN_SECONDS

app = typer.Typer(no_args_is_help=True, help="Nodes: list, make one anew, roll a new image or config through a pool.")

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the tools' own output.")]
Timeout = Annotated[
    int, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long a node's pods may take to leave it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def show(name: Name = "local", as_json: AsJson = False) -> None:
    """List nodes with their pools, pods, production jobs and volumes."""
    found = listing.rows(Environment.load(name))
    if as_json:
        typer.echo(json.dumps(listing.documents(found), indent=2))
    else:
        _console().print(listing.table(found, datetime.now(UTC)))


@app.command()
def replace(
    node: Annotated[str, typer.Argument(metavar="NODE", help="Its name, as `node list` shows it.")],
    name: Name = "local",
    timeout: Timeout = DRAIN_SECONDS,
    verbose: Verbose = False,
) -> None:
    """Make one node anew: it is emptied, its machine replaced, and waited for until all is well."""
    rolling.replace(name, node, _console(), drain_seconds=timeout, verbose=verbose)


@app.command()
def roll(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Its name, as `node list` shows it.")],
    name: Name = "local",
    timeout: Timeout = DRAIN_SECONDS,
    verbose: Verbose = False,
) -> None:
    """Make those nodes of a pool anew whose image or config has changed, one at a time; run again, it goes on."""
    rolling.roll(name, pool, _console(), drain_seconds=timeout, verbose=verbose)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=160)
