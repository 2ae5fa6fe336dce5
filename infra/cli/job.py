"""`./refsys job`: production jobs as a batch system has them."""

import json
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from refsys.infra.cli import endpoints
from refsys.infra.drmaa import JobInfo, Session
from refsys.infra.errors import UserError
from refsys.services.production.drmaa import Action, JobState
from refsys.services.production.states import Outcome, State

app = typer.Typer(no_args_is_help=True, help="Production jobs: submit, trigger, list, status, wait, control.")

Job = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(metavar="ORDER", help="File with the order, JSON or YAML.")],
    name: Name = "local",
    wait: Wait = False,
) -> None:
    """Submit an order; prints the job's id."""
    order = _order(file)
    with Session(endpoints.read(name)) as session:
        _submitted(session, session.run_job(order), wait=wait)


@app.command()
def trigger(
    table: Annotated[str, typer.Argument(metavar="CHAIN/TABLE", help="Task table, as `chain list` shows it.")],
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="A catalogued product that it is for.")],
    name: Name = "local",
    wait: Wait = False,
) -> None:
    """Have the job of a chain made for a product; prints the job's id."""
    chain, _, task_table = table.partition("/")
    if not chain or not task_table:
        raise UserError(f"{table!r} names no task table", fix="write it as s1-aiop/S1_AIOP")
    with Session(endpoints.read(name)) as session:
        _submitted(session, session.trigger(chain, task_table, product), wait=wait)


@app.command()
def status(job: Job, name: Name = "local", as_json: AsJson = False) -> None:
    """Say where a job is, and why."""
    with Session(endpoints.read(name)) as session:
        info = session.job_info(job)
    if as_json:
        typer.echo(json.dumps(info.document, indent=2))
    else:
        _tell(info)


@app.command("wait")
def wait_for(
    job: Job,
    name: Name = "local",
    timeout: Annotated[float | None, typer.Option("--timeout", min=0, metavar="SECONDS")] = None,
) -> None:
    """Wait until a job has ended; the exit code is 0 if it is done well."""
    with Session(endpoints.read(name)) as session:
        _ended(session.wait(job, timeout))


@app.command()
def control(
    action: Action,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB... [ENV]", help="Ids of jobs; then the environment.")],
) -> None:
    """Suspend, resume, hold, release, terminate or restart jobs; one that waits is looked at now by a restart."""
    name = "local" if _is_id(jobs[-1]) else jobs.pop()
    if not jobs or not all(map(_is_id, jobs)):
        raise UserError(f"{', '.join(jobs) or name} is no job", fix="give ids, as `job list` shows them")
    with Session(endpoints.read(name)) as session:
        refused = session.control(jobs, action)
    for job in jobs:
        typer.echo(refused.get(job, f"job {job}: {action} is done"))
    if refused:
        raise typer.Exit(1)


@app.command("list")
def show(  # noqa: PLR0917  # options
    name: Name = "local",
    state: Annotated[State | None, typer.Option("--state", case_sensitive=False)] = None,
    outcome: Annotated[Outcome | None, typer.Option("--outcome", case_sensitive=False)] = None,
    mission: Annotated[str | None, typer.Option("--mission", help="S1, S2, S3.")] = None,
    chain: Annotated[str | None, typer.Option("--chain", help="Name of a chain.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the jobs that changed last: where they are, and why; of those that wait, what for."""
    with Session(endpoints.read(name)) as session:
        found = session.jobs(state=state, outcome=outcome, mission=mission, chain=chain, size=count)
    if as_json:
        typer.echo(json.dumps([each.document for each in found], indent=2))
        return
    table = Table()
    for heading in ("job", "task table", "made by", "state", "changed", "why"):
        table.add_column(heading, overflow="fold")
    for each in found:
        told = each.document
        table.add_row(
            *(each.job_id, f"{told['chain']}/{told['taskTable']}", escape(told["trigger"]), _state(each)),
            *(told["changed"][:19], escape(each.reason)),
        )
    _console().print(table)


def _is_id(word: str) -> bool:
    try:
        return str(UUID(word)) == word
    except ValueError:
        return False


def _submitted(session: Session, job: str, *, wait: bool) -> None:
    typer.echo(job)
    if wait:
        _ended(session.wait(job))


def _order(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"order {file}: {error}", fix="give a file as in docs/execution.md") from None
    if not isinstance(found, dict):
        raise UserError(f"order {file} is no mapping", fix="give a file as in docs/execution.md")
    # JSON's types: YAML's times would be no texts.
    plain: dict[str, Any] = json.loads(json.dumps(found, default=lambda value: value.isoformat()))
    return plain


def _tell(info: JobInfo) -> None:
    where = f" on {info.node}" if info.node else ""
    detail = "" if info.state.ended else info.document["detail"] or ""
    console = _console()
    console.print(f"{info.job_id}  {_state(info)}, attempt {info.attempt}{where}", highlight=False)
    for text in dict.fromkeys(filter(None, (info.reason, detail))):
        console.print(f"  {text}", highlight=False, markup=False)
    for each in info.document.get("past", ()):
        text = f"attempt {each['attempt']} until {each['ended'][:19]}, {each['cause'].lower()}: {each['reason']}"
        console.print(f"  {text}", highlight=False, markup=False)


def _ended(info: JobInfo) -> None:
    _tell(info)
    if info.state is not JobState.DONE:
        raise typer.Exit(1)


def _state(info: JobInfo) -> str:
    """Where a job is, in its colour."""
    said = f"{info.state} {info.outcome or info.document['state']}"
    colour = {JobState.DONE: "green", JobState.FAILED: "red", JobState.RUNNING: "cyan"}.get(info.state)
    return f"[{colour}]{said}[/]" if colour else said


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=200)
