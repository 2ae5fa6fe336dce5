"""KPIs on the terminal, and the monthly report."""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
import typer.core
from rich.console import Console
from rich.table import Table

from refsys.infra import paths
from refsys.infra.cli import endpoints
from refsys.infra.errors import UserError
from refsys.infra.operators import Operators
from refsys.monitoring.kpi import page
from refsys.monitoring.kpi.report import Month, as_csv, summed

DAY = re.compile(r"20\d\d-\d\d-\d\d")
MONTH = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
GOOD_PERCENT = 99.0
ROOT = "/operations/v1/kpi"
LISTED = 1000


class DayUnlessNamed(typer.core.TyperGroup):
    """`kpi ENV` is `kpi day ENV`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command in that is meant."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["day", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=DayUnlessNamed, help="Timeliness and completeness: of a day (`kpi [ENV]`), of a month.")

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("day")
def of_day(
    name: Name = "local",
    day: Annotated[str, typer.Option("--day", metavar="YYYY-MM-DD", help="Day, UTC; today unless told.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print timeliness and completeness of a day."""
    if day and not DAY.fullmatch(day):
        raise UserError(f"{day!r} is no day", fix="write it as 2026-11-22")
    with Operators(endpoints.read(name)) as operators:
        figures = operators.get(f"{ROOT}/day", day=day or None)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        show(figures, _console())


@app.command("report")
def of_month(
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Month, UTC: YYYY-MM.")],
    name: Name = "local",
    as_json: AsJson = False,
) -> None:
    """Write the report of a month: a page, and a table for spreadsheets."""
    if not MONTH.fullmatch(month):
        raise UserError(f"{month!r} is no month", fix="write it as 2026-11")
    with Operators(endpoints.read(name)) as operators:
        found = read(operators, name, month)
    if as_json:
        typer.echo(json.dumps(found.figures, indent=2))
        return
    folder = paths.environment_home(name) / "reports"
    folder.mkdir(exist_ok=True)
    for file, text in (
        (folder / f"kpi-{month}.html", page.render(found)),
        (folder / f"kpi-{month}.csv", as_csv(found)),
    ):
        file.write_text(text, encoding="utf-8")
        _console().print(f"report: {file}", highlight=False)


def read(operators: Operators, environment: str, month: str) -> Month:
    """All that the report of a month is made of; of each list the latest thousand."""
    year, number = map(int, month.split("-"))
    since = datetime(year, number, 1, tzinfo=UTC)
    until = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)
    between = {"since": since.isoformat(), "until": until.isoformat()}
    invalidations = operators.get(f"{ROOT}/invalidations", size=LISTED)
    return Month(
        environment,
        month,
        operators.get(f"{ROOT}/month", month=month),
        late=operators.get(f"{ROOT}/late", size=LISTED, **between),
        missing=operators.get(f"{ROOT}/missing", size=LISTED, **between),
        duplicates=operators.get(f"{ROOT}/duplicates", size=LISTED, **between),
        invalidations=[each for each in invalidations if each["updateDate"][:7] == month],
        costs=operators.get("/operations/v1/costs"),
    )


def show(figures: dict[str, Any], console: Console) -> None:
    """The figures of a day for people."""
    table = Table(title=figures["day"], title_justify="left")
    for heading in ("mission", "level", "station"):
        table.add_column(heading)
    for heading in (
        "expected", "missing", "complete", "published", "duplicates", "with limit", "late", ">1d", ">2d", ">3d",
        "timely",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    rows = figures["value"]
    for row in rows:
        table.add_row(row["mission"] or "-", row["level"], row["station"] or "-", *_cells(row))
    if not rows:
        console.print(f"{figures['day']}: nothing came in, and nothing was published")
        return
    table.add_section()
    table.add_row("all", "", "", *_cells(summed(rows)))
    console.print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    numbers = [str(row[name]) for name in ("published", "duplicates", "limited")]
    bands = [str(row[name]) for name in ("lateOneDay", "lateTwoDays", "lateThreeDays")]
    return [
        str(row["expected"]),
        _bad(row["missing"]),
        _share(row["completeness"]),
        *numbers,
        _bad(row["late"]),
        *bands,
        _share(row["timeliness"]),
    ]


def _bad(number: int) -> str:
    return f"[red]{number}[/]" if number else "0"


def _share(value: float | None) -> str:
    if value is None:
        return "-"
    return f"[{'green' if value >= GOOD_PERCENT else 'red'}]{value:g} %[/]"


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=160)
