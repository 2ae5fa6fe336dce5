"""`./refsys processor`: the bench of data processors."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from refsys.infra.bench import case as cases
from refsys.infra.bench import gate as gates
from refsys.infra.bench import here, history, jobs, page, registry
from refsys.infra.bench.results import Results, Run, on
from refsys.infra.cli import endpoints
from refsys.infra.drmaa import Session
from refsys.infra.errors import UserError
from refsys.services.bench.compare import StrangeError, compare, files_below
from refsys.services.bench.found import Comparison
from refsys.services.bench.rules import Rules
from refsys.services.common.messages import utc_now

SHOWN = 20

app = typer.Typer(no_args_is_help=True, help="Data processors: register, bench, compare with a reference, gate.")

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
Processor = Annotated[str, typer.Argument(metavar="PROCESSOR", help="Name of the processor.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Result = Annotated[Path, typer.Argument(metavar="RESULT", help="File that `processor bench` wrote.", dir_okay=False)]
History = Annotated[
    Path | None, typer.Option("--history", help="Folder of results; that of the result unless told.", file_okay=False)
]


@app.command()
def register(
    processor: Processor,
    name: Name = "local",
    image: Annotated[str, typer.Option("--image", help="Image of the distribution, or reference with digest.")] = "",
    version: Annotated[str, typer.Option("--version", help="The processor's.")] = "",
    bill: Annotated[Path | None, typer.Option("--bill", help="Bill of materials (CycloneDX).", dir_okay=False)] = None,
) -> None:
    """Register a processor; refused unless its image is signed, and the scan finds nothing beyond the policy."""
    made = registry.register(name, processor, version, image or processor, bill)
    typer.echo(f"processor {made.name} {made.version} is registered: {made.image}")


@app.command("list")
def show(name: Name = "local", as_json: AsJson = False) -> None:
    """List the registered processors."""
    found = registry.listed(name)
    if as_json:
        typer.echo(json.dumps([each.model_dump(mode="json", by_alias=True) for each in found], indent=2))
        return
    table = Table()
    for heading in ("processor", "version", "scanned", "accepted findings", "image"):
        table.add_column(heading, overflow="fold")
    for each in found:
        accepted = len(each.scan["accepted"])
        table.add_row(each.name, each.version, f"{each.registered:%Y-%m-%d}", str(accepted), each.image)
    _console().print(table)


@app.command()
def bench(  # noqa: PLR0917  # options
    file: Annotated[Path, typer.Argument(metavar="CASE", help="A case file (docs/processor-bench.md).")],
    name: Name = "local",
    on_this: Annotated[bool, typer.Option("--here", help="Run on this machine, not as jobs of ENV.")] = False,
    version: Annotated[str, typer.Option("--version", help="With --here: the processor's version.")] = "",
    keep: Annotated[Path | None, typer.Option("--keep", help="With --here: folder for the first outputs.")] = None,
    to: Annotated[Path | None, typer.Option("--history", help="Folder of results.", file_okay=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Run a case; prints its figures beside earlier ones, and keeps them."""
    case = cases.load(file)
    if not on_this and (keep or version):
        raise UserError("--keep and --version are for --here", fix="leave them away; the registration has the version")
    results = _here(case, version, keep) if on_this else _jobs(case, name)
    if to is None:
        to = Path("bench-results") if on_this else history.folder_of(name)
    kept = history.save(to, results)
    before = history.earlier(to, results)
    if as_json:
        typer.echo(results.model_dump_json(by_alias=True, indent=2))
    else:
        _figures(results)
        _checks(gates.judge(results, before))
        _console().print(f"result: {kept}", highlight=False)
    if not results.good():
        raise typer.Exit(1)


@app.command("compare")
def compare_folders(
    made: Annotated[Path, typer.Argument(metavar="MADE", help="Folder that a processor made.", file_okay=False)],
    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Folder as it should be.", file_okay=False)],
    rules: Annotated[Path | None, typer.Option("--rules", help="Rules, or a case file with rules.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a folder with its reference; the exit code is 0 if it is as the rules want it."""
    if missing := [str(folder) for folder in (made, reference) if not folder.is_dir()]:
        raise UserError(f"{missing[0]} is no folder", fix="name the folder of outputs, then that of the reference")
    known = cases.load_rules(rules) if rules else Rules()
    try:
        found = compare(files_below(made), files_below(reference), known)
    except StrangeError as error:
        raise UserError(str(error), fix="compare folders of files") from None
    if as_json:
        typer.echo(found.model_dump_json(by_alias=True, indent=2))
    else:
        _differences(found)
    raise typer.Exit(0 if found.equal else 1)


@app.command()
def report(
    file: Result,
    to: Annotated[Path | None, typer.Option("--output", help="The page; beside the result unless told.")] = None,
    before: History = None,
) -> None:
    """Write the page of a result, with plots."""
    results = history.read(file)
    target = to or file.with_suffix(".html")
    target.write_text(page.render(results, _earlier(file, results, before)), encoding="utf-8")
    _console().print(f"report: {target}", highlight=False)


@app.command()
def gate(
    file: Result,
    before: History = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML, as CI servers read it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a result: runs, outputs, and figures beside earlier ones; the exit code is 0 if all holds."""
    results = history.read(file)
    checks = gates.judge(results, _earlier(file, results, before))
    if junit:
        junit.write_bytes(gates.as_junit(results, checks))
    if as_json:
        typer.echo(json.dumps(gates.as_json(results, checks), indent=2))
    else:
        _checks(checks)
    raise typer.Exit(0 if gates.holds(checks) else 1)


def _jobs(case: cases.Case, name: str) -> Results:
    known = registry.find(name, case.processor)
    with Session(endpoints.read(name)) as session:

        def run(cores: float, repetition: int) -> Run:
            return jobs.run(session, case, known, cores, repetition)

        told = {"image": known.image, "version": known.version, "environment": name, "data": jobs.data_of(case)}
        return _all(case, told, run)


def _here(case: cases.Case, version: str, keep: Path | None) -> Results:
    place = case.here
    if place is None:
        raise UserError(f"case {case.name} has no field here", fix="name the folder of its inputs: here: {data: …}")
    kept: list[Path | None] = [keep]

    def run(cores: float, repetition: int) -> Run:
        return here.run(case, place, cores, repetition, kept.pop() if kept else None)

    told = {"image": "", "version": version, "environment": "here", "data": here.data_of(case, place)}
    return _all(case, told, run)


def _all(case: cases.Case, told: dict[str, str], run: Callable[[float, int], Run]) -> Results:
    """All runs, one after the other; numbers of cores take turns, so that a change of the machine meets all."""
    started, runs = utc_now(), []
    console = Console(stderr=True, soft_wrap=True)
    for repetition in range(1, case.repetitions + 1):
        for cores in case.cores:
            made = run(cores, repetition)
            runs.append(made)
            said = f"run {repetition} of {case.repetitions}, {on(cores)}: {made.outcome}, {made.seconds:.2f} s"
            why = "" if made.outcome in case.outcomes else f"; {made.reason}"
            console.print(f"{said}{why}", highlight=False, markup=False)
    return Results.model_validate(
        {
            "case": case.name,
            "processor": case.processor,
            **told,
            "repetitions": case.repetitions,
            "outcomes": list(case.outcomes),
            "worse": case.worse.model_dump(),
            "started": started,
            "ended": utc_now(),
            "runs": runs,
        }
    )


def _earlier(file: Path, results: Results, folder: Path | None) -> list[Results]:
    return history.earlier(folder or file.resolve().parent.parent, results)


def _figures(results: Results) -> None:
    table = Table(
        title=f"{' '.join(filter(None, (results.processor, results.version)))}: {results.case}", title_justify="left"
    )
    for heading in ("cores", "runs", "s", "noise", "MB/s", "speed-up", "cpu s", "MiB", "read MiB", "written MiB"):
        table.add_column(heading, justify="right")
    for row in page.rows(results):
        sizes = [page.number(row[name] / page.MIB) for name in ("memory", "read", "written")]
        table.add_row(
            *(f"{row['cores']:g}", str(row["runs"]), page.number(row["seconds"]), f"{row['noise']:.1f} %"),
            *(page.number(row["throughput"]), f"{row['speed_up']:.2f}", page.number(row["cpu"]), *sizes),
        )
    if table.row_count:
        _console().print(table)


def _checks(checks: list[gates.Check]) -> None:
    console = _console()
    for check in checks:
        mark = "[red]fails[/]" if not check.holds else "[green]holds[/]" if check.known else "[dim]  ?  [/]"
        console.print(f"{mark}  {check.name}: ", end="", highlight=False)
        console.print(check.text, highlight=False, markup=False)


def _differences(found: Comparison) -> None:
    console = _console()
    for file in found.different:
        console.print(f"[red]differs[/]  {file.name} ({file.kind})", highlight=False)
        for each in file.differences or [file.reason]:
            console.print(f"         {each}", highlight=False, markup=False)
    for title, names in (("missing", found.missing), ("extra", found.extra)):
        for name in names[:SHOWN]:
            console.print(f"[red]{title}[/]  {name}", highlight=False)
        if len(names) > SHOWN:
            console.print(f"[red]{title}[/]  and more", highlight=False)
    console.print(found.reason, highlight=False, markup=False)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=200)
