"""Production chains on the terminal: check a file, add it, list those that are there."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from refsys.infra.cli import endpoints
from refsys.infra.errors import UserError
from refsys.infra.operators import Operators
from refsys.services.production.chains import Chain
from refsys.services.production.check import ChainError, check_together, read_chain
from refsys.services.production.shelf import shipped

ROOT = "/operations/v1/production/chains"

app = typer.Typer(no_args_is_help=True, help="Production chains: check a file, add it, list those that are there.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A chain file (docs/preparation.md).", dir_okay=False)]
Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("check")
def check(file: File) -> None:
    """Say whether a chain file is right; if not, what is wrong where, and how to mend it."""
    chain, _ = read(file)
    typer.echo(f"{file}: chain {chain.name} is right: {', '.join(table.name for table in chain.task_tables)}")


@app.command("add")
def add(file: File, name: Name = "local") -> None:
    """Add a chain to an environment, in the place of the one of its name; it makes jobs at once."""
    chain, text = read(file)
    with Operators(endpoints.read(name)) as operators:
        operators.post(ROOT, {"document": text})
    state = "makes jobs from now on" if chain.enabled else "makes no jobs: it is not enabled"
    typer.echo(f"chain {chain.name} is there and {state}")


@app.command("remove")
def remove(
    chain: Annotated[str, typer.Argument(metavar="CHAIN", help="Name of an added chain.")], name: Name = "local"
) -> None:
    """Take an added chain away; a shipped one of its name is there again."""
    with Operators(endpoints.read(name)) as operators:
        operators.delete(f"{ROOT}/{chain}")
    typer.echo(f"chain {chain} is not there any more")


@app.command("list")
def listed(name: Name = "local", as_json: AsJson = False) -> None:
    """List the chains of an environment."""
    with Operators(endpoints.read(name)) as operators:
        found = operators.get(ROOT)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table()
    for heading in ("chain", "mission", "makes jobs", "comes from", "open jobs", "task tables"):
        table.add_column(heading)
    for each in found:
        table.add_row(
            each["name"],
            each["mission"],
            "yes" if each["enabled"] else "no",
            each["origin"],
            str(each["openJobs"]),
            " ".join(task["name"] for task in each["taskTables"]),
        )
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(table)


def read(file: Path) -> tuple[Chain, str]:
    """A chain file and its text.

    Raises:
        UserError: with all that is wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} can't be read: {error}", fix="give the name of a chain file") from None
    try:
        chain = read_chain(text)
        check_together(shipped().values(), chain)
    except ChainError as error:
        lines = "\n".join(
            f"  line {each.line}, {each.field or 'file'}: {each.message}\n    fix: {each.fix}"
            for each in error.problems
        )
        raise UserError(f"{file} is no chain that can be used:\n{lines}", fix=f"mend it; check {file} again") from None
    return chain, text
