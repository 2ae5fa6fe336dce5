"""Command `python -m refsys.security.compliance.kubernetes ENV`: prints the report, ends with 1 where a check fails."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from refsys.infra.errors import UserError
from refsys.security.compliance.kubernetes.examination import examine
from refsys.security.compliance.kubernetes.report import KubernetesReport

COLOURS = {"pass": "green", "fail": "red", "waived": "yellow", "not applicable": "dim"}


def main(
    environment: Annotated[str, typer.Argument(help="Name of the environment.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Examine the cluster of an environment that is up."""
    report = examine(environment)
    if as_json:
        typer.echo(report.model_dump_json(indent=1))
    else:
        _show(report)
    raise typer.Exit(1 if report.failed else 0)


def _show(report: KubernetesReport) -> None:
    console = Console()
    table = Table("check", "title", "status", "seen")
    for result in report.results:
        if result.status != "pass":
            seen = f"{result.seen}\n{result.reason or ''}".strip()
            table.add_row(result.id, result.title, f"[{COLOURS[result.status]}]{result.status}[/]", seen)
    console.print(table)
    console.print(", ".join(f"{number} {status}" for status, number in report.counts.items()), highlight=False)


if __name__ == "__main__":
    try:
        typer.run(main)
    except UserError as error:
        sys.exit(f"error: {error}")
