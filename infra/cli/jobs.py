"""Production jobs on the terminal: list them with what they wait for, restart, cancel."""

import json
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from refsys.infra.cli import endpoints
from refsys.infra.operators import Operators

ROOT = "/operations/v1/production/jobs"

app = typer.Typer(no_args_is_help=True, help="Production jobs: list with what they wait for, restart, cancel.")

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
Job = Annotated[UUID, typer.Argument(metavar="JOB", help="Id of a job, as `jobs list` shows it.")]
Option = Annotated[str | None, typer.Option()]


@app.command("list")
def listed(  # noqa: PLR0917  # options
    name: Name = "local",
    state: Option = None,
    outcome: Option = None,
    mission: Option = None,
    chain: Option = None,
    size: Annotated[int, typer.Option(min=1, max=1000, help="How many, the last changed first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List jobs: their state, and why or what for they are in it."""
    asked = {"state": state and state.upper(), "outcome": outcome and outcome.upper(), "mission": mission}
    with Operators(endpoints.read(name)) as operators:
        found = operators.get(ROOT, chain=chain, size=size, **asked)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        show(found)


@app.command("restart")
def restart(job: Job, name: Name = "local") -> None:
    """Begin an ended job anew, or look at a waiting one now."""
    with Operators(endpoints.read(name)) as operators:
        operators.post(f"{ROOT}/{job}/restart", {})
    typer.echo(f"job {job} is begun anew")


@app.command("cancel")
def cancel(job: Job, name: Name = "local") -> None:
    """End a job."""
    with Operators(endpoints.read(name)) as operators:
        operators.post(f"{ROOT}/{job}/cancel", {})
    typer.echo(f"job {job} is cancelled")


def show(found: list[dict[str, Any]]) -> None:
    """Jobs for people."""
    console = Console()
    console = console if console.is_terminal else Console(width=200)
    if not found:
        console.print("no such job")
        return
    table = Table()
    for heading in ("job", "task table", "state", "made by", "why"):
        table.add_column(heading, overflow="fold")
    for each in found:
        state = each["outcome"] or each["state"]
        table.add_row(each["id"], f"{each['chain']}/{each['taskTable']}", state, each["trigger"], each["reason"])
    console.print(table)
