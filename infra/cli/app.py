"""Commands of `refsys`."""

import json
import logging
import logging.handlers
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from refsys.infra import paths
from refsys.infra.cli import (
    adopt,
    chain,
    doctor,
    drift,
    engine,
    image,
    job,
    kpi,
    lifecycle,
    logs,
    node,
    order,
    passwords,
    policy,
    preview,
    processor,
    scale,
    scan,
    state,
    status,
    suites,
    tools,
)
from refsys.infra.cli import compliance as scores
from refsys.infra.cli import endpoints as endpoint_files
from refsys.infra.cli.steps import Steps
from refsys.infra.demo import Endpoints
from refsys.infra.demo import run as run_demo
from refsys.infra.demo.day import Day
from refsys.infra.errors import UserError
from refsys.infra.layers import Layer
from refsys.infra.shell import CommandError
from refsys.infra.toolchain import Source, load_lock
from refsys.infra.toolchain.gobuild import GoBuild
from refsys.security.compliance.run import run as examine

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The Copernicus Reference System as code.")
toolchain = typer.Typer(no_args_is_help=True, help="The pinned tools: list, build, put on PATH.")
app.add_typer(toolchain, name="toolchain")
app.add_typer(scan.app, name="scan")
app.add_typer(kpi.app, name="kpi")
app.add_typer(chain.app, name="chain")
app.add_typer(job.app, name="job")
app.add_typer(node.app, name="node")
app.add_typer(order.app, name="order")
app.add_typer(processor.app, name="processor")
app.add_typer(state.app, name="state")
app.add_typer(image.app, name="image")

# Without a terminal there is no width to fold to: logs and pipes get whole lines.
console = Console(width=None if sys.stdout.isatty() else 160)
errors = Console(stderr=True, soft_wrap=True)

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show the tools' own output.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Unprotect = Annotated[
    str | None, typer.Option("--unprotect", metavar="ENV", help="Lift a protected environment's protection: its name.")
]
SourceOption = Annotated[Source | None, typer.Option("--source", help="Where tools come from.")]


@app.command()
def up(
    name: Name = "local",
    until: Annotated[Layer | None, typer.Option(help="Stop after this layer; without, after the config's.")] = None,
    source: SourceOption = None,
    verbose: Verbose = False,
    unprotect: Unprotect = None,
) -> None:
    """Bring an environment up, or to what its config says now."""
    lifecycle.up(name, console, until=until, source=source, verbose=verbose, unprotect=unprotect)


@app.command()
def down(name: Name = "local", verbose: Verbose = False, unprotect: Unprotect = None) -> None:
    """Remove an environment; nothing of it is left but copies of its state."""
    lifecycle.down(name, console, verbose=verbose, unprotect=unprotect)


@app.command("status")
def show_status(name: Name = "local", as_json: AsJson = False) -> None:
    """Say whether an environment is well, what is not, the likely cause and the next step."""
    report = status.examine(name)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        report.show(console)
    raise typer.Exit(0 if report.well else 1)


app.command("preview")(preview.preview)
app.command("drift")(drift.drift)
app.command("policy")(policy.policy)
app.command("import")(adopt.adopt)
app.command("scale")(scale.scale)
app.command("logs")(logs.search)
app.command("alerts")(logs.alerts)
app.command("doctor")(doctor.doctor)


@app.command()
def endpoints(name: Name = "local", as_json: AsJson = False) -> None:
    """Print all that an outside client needs: addresses, CA file, kubeconfig, token address, demo user and stations."""
    found = endpoint_files.read(name)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        console.print(endpoint_files.table(found))


@app.command("first-password")
def first_password(
    user: Annotated[str, typer.Argument(help="A user whom the environment declares.")], name: Name = "local"
) -> None:
    """Print the password with which a user logs in for the first time, and must then change it."""
    typer.echo(passwords.first(name, user))


@app.command()
def compliance(name: Name = "local", as_json: AsJson = False) -> None:
    """Let Lynis and OpenSCAP look at the nodes; write a report with scores, failed rules, waivers and drift."""
    with Steps(console) as steps, steps.step("scan the nodes, some minutes"):
        found = examine(name)
    if as_json:
        typer.echo(json.dumps(found.document, indent=2))
    else:
        console.print(scores.table(found.document))
        console.print(f"report: {found.folder / 'report.html'}", highlight=False)


@app.command()
def demo(
    name: Name = "local",
    samples: Annotated[Path | None, typer.Option(help="Folder with more auxiliary files to feed.", exists=True)] = None,
) -> None:
    """Play four stations, and follow files, sessions and their products to an outside client; then the day's KPIs."""
    found = endpoint_files.read(name)
    if "demo" not in found:
        raise UserError(f"environment {name} has no demo", fix=f"set refsys:demo: true, and ./refsys up {name}")
    raise typer.Exit(run_demo(Endpoints.model_validate(found["demo"]), samples, console, Day(name, found)))


@app.command()
def test(
    suite: Annotated[suites.Suite | None, typer.Argument(help="Which tests; without it the default set.")] = None,
) -> None:
    """Run the tests."""
    raise typer.Exit(suites.run(suite, console))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context, what: Annotated[str, typer.Argument(help="Benchmark: local.")] = "local") -> None:
    """Measure, and print figures beside their targets; further options are the benchmark's."""
    raise typer.Exit(suites.bench(what, context.args))


@toolchain.command("list")
def list_tools() -> None:
    """Show every tool, its version and whether it is there."""
    console.print(tools.table())


@toolchain.command("build")
def build_tools(names: Annotated[list[str] | None, typer.Argument()] = None, source: SourceOption = None) -> None:
    """Build or download the missing tools: those named, else those of every environment."""
    wanted = tools.named(names) if names else tools.built()
    with Steps(console) as steps:
        seconds = tools.estimate(wanted)
        console.print(f"about {seconds / 60:.0f} min to go" if seconds else "every tool is there")
        tools.Building(steps, source, wanted).finish()
    for old in tools.remove_old():
        console.print(f"removed {old}: no longer pinned")


@toolchain.command("env")
def tool_variables() -> None:
    """Print shell variables for running pulumi by hand: eval "$(./refsys toolchain env)"."""
    for name, value in engine.variables().items():
        typer.echo(f"export {name}='{value}'")


@toolchain.command("lock")
def lock_tools(names: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Resolve the tools' Go modules anew after a change of lock.toml (for developers)."""
    with Steps(console) as steps:
        for tool in load_lock().values():
            if tool.modules and (not names or tool.name in names):
                with steps.step(f"resolve {tool.name}"):
                    GoBuild(tool, Path("unused"), paths.cache() / "tools" / f"{tool.name}.log").resolve()


def _log_to_file() -> Path:
    folder = paths.home() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "refsys.log"
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=5 * 2**20, backupCount=3)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"))
    logging.getLogger("refsys").addHandler(handler)
    logging.getLogger("refsys").setLevel(logging.INFO)
    return file


INTERRUPTED = 130


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; errors an operator can mend are shown without a traceback."""
    try:
        log_file = _log_to_file()
    except OSError as error:
        errors.print(f"[red]error:[/] {paths.home()} can't be written: {error}\n  fix: run as root, or set REFSYS_HOME")
        sys.exit(1)
    signal.signal(signal.SIGTERM, _terminate)
    log = logging.getLogger("refsys")
    log.info("command %s", " ".join(sys.argv[1:]))
    try:
        app(prog_name="./refsys")
    except (UserError, CommandError, TimeoutError) as error:
        log.error("%s", error)
        errors.print(Text.assemble(("error: ", "red"), str(error)))
        sys.exit(1)
    except SystemExit as end:  # Typer's own, also for an interrupt
        if end.code == INTERRUPTED:
            errors.print("interrupted: run the same command again, it goes on where it stopped")
        raise
    except Exception:
        log.exception("unexpected error")
        errors.print(f"[red]error:[/] this is a fault of refsys itself; the details are in {log_file}")
        sys.exit(70)
