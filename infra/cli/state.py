"""The stack's state: copies of it, its lock, resources that others made."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from refsys.infra import backups
from refsys.infra.cli import tools
from refsys.infra.cli.locks import exclusive
from refsys.infra.cli.stack import Stack
from refsys.infra.cli.steps import Steps

app = typer.Typer(no_args_is_help=True, help="The stack's state: back up, list, restore, unlock.")

console = Console(highlight=False, soft_wrap=True)

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def show(name: Name = "local", as_json: AsJson = False) -> None:
    """List the copies of an environment's state, the newest first."""
    found = backups.of(name)
    if as_json:
        fields = [
            {"name": each.name, "made": each.moment.isoformat(), "before": each.reason, "file": str(each.file)}
            for each in found
        ]
        typer.echo(json.dumps(fields, indent=2))
        return
    table = Table("name", "made, UTC", "before", "size")
    for each in found:
        size = f"{each.file.stat().st_size / 1024:.0f} KiB"
        table.add_row(each.name, f"{each.moment:%Y-%m-%d %H:%M:%S}", each.reason, size)
    console.print(table if found else f"environment {name} has no backups")


@app.command()
def backup(name: Name = "local") -> None:
    """Keep a copy of the state as it is now."""
    with exclusive(name, reading=True), Steps(console) as steps:
        made = _stack(name, steps).backup("hand")
    console.print(
        f"kept: {made.file}" if made else "nothing to keep: the newest copy says the same, or there is no state"
    )


@app.command()
def restore(
    backup_name: Annotated[str, typer.Argument(metavar="BACKUP", help="Its name, of `state list`.")],
    name: Name = "local",
) -> None:
    """Put a copy of the state in place of the present one, which is kept first. Resources are not touched."""
    chosen = backups.named(name, backup_name)
    state = chosen.read()
    with exclusive(name), Steps(console) as steps:
        stack = _stack(name, steps)
        stack.backup("restore")
        with steps.step(f"restore {chosen.name}"):
            stack.restore(state)
    console.print(f"next: ./refsys preview {name} says what differs, ./refsys up {name} mends it")


@app.command()
def unlock(name: Name = "local") -> None:
    """Take away a lock whose command is certain to have ended; one that still works would be disturbed."""
    with exclusive(name), Steps(console) as steps:
        _stack(name, steps).unlock()
    console.print(f"the state of environment {name} is not locked; next: ./refsys up {name}")


def _stack(name: str, steps: Steps) -> Stack:
    tools.Building(steps, wanted=tools.named(tools.ENGINE)).engine_ready()
    return Stack(name, steps)
