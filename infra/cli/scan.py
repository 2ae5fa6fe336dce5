"""Scans on the terminal."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from refsys.infra.cli import packages, tools
from refsys.infra.cli.steps import Steps
from refsys.infra.toolchain import ensure_tool, installed, load_lock
from refsys.security.scans import database as databases
from refsys.security.scans import network, policy
from refsys.security.scans.report import Document, Scan
from refsys.security.scans.run import run

SHOWN_PLACES = 3

app = typer.Typer(no_args_is_help=True, help="Scan images, hosts, network, licences or secrets.")
database = typer.Typer(no_args_is_help=True, help="The vulnerability database.")
app.add_typer(database, name="database")

Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def images(name: Name = "local", as_json: AsJson = False) -> None:
    """Look for known vulnerabilities in the images' bills of materials."""
    _scan(Scan.IMAGES, name, as_json=as_json)


@app.command()
def hosts(name: Name = "local", as_json: AsJson = False) -> None:
    """Look for known vulnerabilities in the nodes' packages, and in what sets them up."""
    _scan(Scan.HOSTS, name, as_json=as_json)


@app.command("network")
def of_network(name: Name = "local", as_json: AsJson = False) -> None:
    """Look at the nodes' TCP ports from here: which are open that nobody declared, which speak an old TLS."""
    packages.install([network.PACKAGE], _progress(as_json=as_json))
    _scan(Scan.NETWORK, name, as_json=as_json)


@app.command()
def licences(name: Name = "local", as_json: AsJson = False) -> None:
    """Compare the licences of all components with the policy."""
    _scan(Scan.LICENCES, name, as_json=as_json)


@app.command()
def secrets(name: Name = "local", as_json: AsJson = False) -> None:
    """Look for secrets in the checkout's tracked files."""
    _scan(Scan.SECRETS, name, as_json=as_json)


@database.command("import")
def import_database(
    reference: Annotated[str, typer.Argument(metavar="FILE|URL", help="Grype's database (v6), or its https address.")],
) -> None:
    """Take a vulnerability database in place of the one before."""
    console = _progress(as_json=False)
    _scanner(console)
    found = databases.import_from(reference)
    allowed = policy.load().database_days
    console.print(f"vulnerability database: {found}; the policy allows {allowed} days", highlight=False)


def _scan(scan: Scan, name: str, *, as_json: bool) -> None:
    console = _progress(as_json=as_json)
    if scan in {Scan.IMAGES, Scan.HOSTS}:
        _scanner(console)
    with Steps(console) as steps, steps.step(f"scan {scan}"):
        found = run(scan, name)
    if as_json:
        typer.echo(json.dumps(found.document, indent=2))
    else:
        show(found.document, console)
        console.print(f"report: {found.folder / 'report.html'}", highlight=False)
    raise typer.Exit(1 if found.document["findings"] else 0)


def _scanner(console: Console) -> None:
    """Build the scanner where it is missing."""
    tool = load_lock()["grype"]
    if not installed(tool):
        console.print(f"building {tool.name} {tool.version}: about {tool.seconds / 60:.0f} min, once")
        with Steps(console) as steps, steps.step(f"build {tool.name} {tool.version}") as note:
            ensure_tool(tool.name, report=lambda _, done, total: note(tools.progress(done, total)))
        tools.drop_caches()


def _progress(*, as_json: bool) -> Console:
    """Where progress goes: not between the JSON."""
    console = Console(stderr=as_json)
    return console if console.is_terminal else Console(stderr=as_json, width=160)


def show(document: Document, console: Console) -> None:
    """The findings for people, and how many there are of the others."""
    for key, text in document["scanned"].items():
        console.print(f"[dim]{key}:[/] {text}", highlight=False)
    if document["findings"]:
        shown = Table("what", "id", "level", "found", "where")
        for finding in document["findings"]:
            shown.add_row(*_row(finding))
        console.print(shown)
    colour = "red" if document["findings"] else "green"
    console.print(
        f"[{colour}]{len(document['findings'])} beyond the policy[/], {len(document['accepted'])} accepted, "
        f"{len(document['below'])} that the policy lets pass",
        highlight=False,
    )


def _row(finding: Document) -> list[str]:
    places = [*finding["where"][:SHOWN_PLACES]]
    if more := len(finding["where"]) - len(places):
        places.append(f"and {more} more")
    return [finding["what"], finding["id"], finding["level"], finding["text"], ", ".join(places)]
