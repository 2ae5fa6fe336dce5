"""`./refsys order`: products made to order."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from refsys.infra.cli import endpoints
from refsys.infra.cli.steps import Steps
from refsys.infra.errors import UserError
from refsys.infra.orders import GOOD, Order, Orders

COLOURS = {GOOD: "green", "failed": "red", "running": "cyan", "dismissed": "yellow"}

app = typer.Typer(no_args_is_help=True, help="On-demand orders: submit, list, show, follow, results, cancel.")

Id = Annotated[str, typer.Argument(metavar="ORDER", help="The order's id.")]
Process = Annotated[str, typer.Argument(metavar="PROCESS", help="As `order processes` shows it.")]
Name = Annotated[str, typer.Argument(metavar="[ENV]", help="Environment; its config is Pulumi.ENV.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def processes(name: Name = "local", as_json: AsJson = False) -> None:
    """List what can be ordered, with the parameters that may be set."""
    with Orders(endpoints.read(name)) as session:
        found = [session.process(each["id"]) for each in session.processes()]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table()
    for heading in ("process", "title", "version", "inputs"):
        table.add_column(heading, overflow="fold")
    for each in found:
        table.add_row(each["id"], escape(each["title"]), each["version"], " ".join(each["inputs"]))
    _console().print(table)


@app.command()
def submit(  # noqa: PLR0917  # options
    process: Process,
    name: Name = "local",
    products: Annotated[list[str] | None, typer.Option("--product", help="Name of a product; repeated.")] = None,
    period: Annotated[str, typer.Option("--time", metavar="BEGIN/END", help="Sensing time, UTC.")] = "",
    bbox: Annotated[str, typer.Option("--bbox", metavar="W,S,E,N", help="Bounding box in degrees.")] = "",
    polygon: Annotated[Path | None, typer.Option("--polygon", help="File with a GeoJSON geometry.")] = None,
    parameters: Annotated[list[str] | None, typer.Option("--parameter", metavar="NAME=VALUE")] = None,
    key: Annotated[str, typer.Option("--key", help="The same key again is the same order.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end.")] = False,
) -> None:
    """Order products, by their names, sensing time or area; prints the order's id."""
    inputs = dict(_parameter(text) for text in parameters or ())
    inputs |= {"products": products} if products else {}
    inputs |= {"datetime": period} if period else {}
    inputs |= {"bbox": {"bbox": _numbers(bbox)}} if bbox else {}
    inputs |= {"polygon": _geometry(polygon)} if polygon else {}
    with Orders(endpoints.read(name)) as session:
        placed = session.place(process, inputs, key or None)
        typer.echo(placed["jobID"])
        if wait:
            _followed(session, placed["jobID"], None)


@app.command("list")
def listed(
    name: Name = "local",
    process: Annotated[str | None, typer.Option("--process", help="Of one process alone.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the orders placed last; an operator sees those of all users."""
    with Orders(endpoints.read(name)) as session:
        found = session.orders(process, count)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table()
    for heading in ("order", "process", "placed", "state", "%", "what"):
        table.add_column(heading, overflow="fold")
    for each in found:
        placed, progress = each["created"][:19], str(each["progress"])
        table.add_row(each["jobID"], each["processID"], placed, _state(each), progress, escape(each["message"]))
    _console().print(table)


@app.command()
def show(order: Id, name: Name = "local", as_json: AsJson = False) -> None:
    """Say how far an order is, with its production jobs."""
    with Orders(endpoints.read(name)) as session:
        found = session.order(order)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        _tell(found)


@app.command()
def follow(
    order: Id,
    name: Name = "local",
    timeout: Annotated[float | None, typer.Option("--timeout", min=0, metavar="SECONDS")] = None,
) -> None:
    """Follow an order until it has ended; the exit code is 0 if it ended well."""
    with Orders(endpoints.read(name)) as session:
        _followed(session, order, timeout)


@app.command()
def results(order: Id, name: Name = "local", as_json: AsJson = False) -> None:
    """Print where the products of an order can be downloaded."""
    with Orders(endpoints.read(name)) as session:
        found = session.results(order)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        typer.echo(f"{each['title']}  {each['href']}")


@app.command()
def cancel(order: Id, name: Name = "local") -> None:
    """Dismiss an order: what has not ended is ended, what was made stays."""
    with Orders(endpoints.read(name)) as session:
        found = session.dismiss(order)
    typer.echo(f"order {found['jobID']} is {found['message']}")


def _followed(session: Orders, order: str, timeout: float | None) -> None:
    with Steps(_console()) as steps, steps.step(f"order {order}") as note:
        ended = session.follow(order, timeout, lambda each: note(_said(each)))
    _tell(ended)
    if ended["status"] != GOOD:
        raise typer.Exit(1)


def _said(order: Order) -> str:
    return f"{order['status']}, {order['progress']} %: {order['message']}"


def _tell(order: Order) -> None:
    console = _console()
    progress, message = f"{order['progress']} %", order["message"]
    console.print(f"{order['jobID']}  {order['processID']}  {_state(order)}, {progress}", highlight=False)
    console.print(f"  {message}", highlight=False, markup=False)
    for job in order.get("jobs", ()):
        state = job["outcome"] or job["state"]
        console.print(f"  {job['product']}: {state}, {job['reason']}", highlight=False, markup=False)
        for product in job["products"]:
            console.print(f"    {product['title']}  {product['href']}", highlight=False, markup=False)


def _state(order: Order) -> str:
    status = order["status"]
    return f"[{COLOURS[status]}]{status}[/]" if status in COLOURS else str(status)


def _parameter(text: str) -> tuple[str, Any]:
    name, equal, value = text.partition("=")
    if not name or not equal:
        raise UserError(f"{text!r} is no parameter", fix="write it as Polarisation=VV")
    return name, value


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{text!r} is no bounding box", fix="write west,south,east,north as 5,43,8,46") from None


def _geometry(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is no GeoJSON: {error}", fix="give a file with a geometry") from None


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=200)
