"""Play the environment's station, wait for the chain, and fetch every product as an outside client."""

import hashlib
import importlib
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import httpx
from rich.console import Console
from rich.table import Table

from refsys.infra import paths
from refsys.infra.demo.client import ALGORITHMS, Download, PripClient
from refsys.infra.demo.endpoints import DemoStation, Endpoints
from refsys.infra.errors import UserError

FILES = 15
WAIT_SECONDS = 300.0
POLL_SECONDS = 1.0
STEPS = ("stationPublication", "seen", "stored", "catalogued", "published")


class Station(Protocol):
    """What the demo uses of the tests' station simulator."""

    requests: list[str]


@dataclass(frozen=True)
class Delivery:
    """A product that arrived: its source, its timeline and the download."""

    source: Path
    timeline: dict[str, datetime]
    download: Download


def run(endpoints: Endpoints, samples: Path | None, console: Console) -> int:
    """Run the demo and return its exit code: 0 if every file arrived once, whole and unchanged.

    `samples` is a folder with more auxiliary files to feed. Running it again feeds the same files: the chain
    acknowledges them and publishes nothing twice.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="refsys-demo-") as folder:
            sources = _files(Path(folder), samples)
            with _station(Path(folder), endpoints.station) as station, PripClient(endpoints) as client:
                console.print(f"{len(sources)} files at the station {endpoints.station.host}:{endpoints.station.port}")
                products = _published(client, station, sources, endpoints.station, console)
                deliveries = [_fetch(client, products[source.name], source) for source in sources]
                _once(client, sources)
    except (UserError, httpx.HTTPError, OSError) as error:
        console.print(f"demo failed: {_reason(error)}", style="bold red", markup=False)
        return 1
    console.print(_table(deliveries))
    total = sum(delivery.download.size for delivery in deliveries)
    console.print(
        f"{len(deliveries)} products, {total} bytes: all published once, sizes and checksums as at the source"
    )
    return 0


def _files(folder: Path, samples: Path | None) -> list[Path]:
    generator = _means("generator")
    files: list[Path] = generator.generate(folder, FILES)
    if samples:
        files += generator.pack(samples, folder)
    return sorted(files)


@contextmanager
def _station(folder: Path, settings: DemoStation) -> Iterator[Station]:
    try:
        station = _means("station").Station(
            folder,
            host=settings.host,
            port=settings.port,
            certificate_file=settings.certificate_file,
            key_file=settings.key_file,
            username=settings.username,
            password=settings.password,
            client_id=settings.client_id,
        )
    except OSError as error:
        raise UserError(
            f"cannot be the station at {settings.host}:{settings.port}: {error}",
            fix=f"bring the environment up, so that the address exists, and free the port: ss -ltnp 'sport = :"
            f"{settings.port}'",
        ) from error
    with station:
        try:
            yield station
        finally:
            station.faults.down = True  # ends the connections that the environment keeps open


def _means(name: str) -> Any:
    """Import one of the tests' means, which live beside the distribution in the checkout."""
    if str(paths.CHECKOUT) not in sys.path:
        sys.path.insert(0, str(paths.CHECKOUT))
    return importlib.import_module(f"tests.means.{name}")


def _published(
    client: PripClient, station: Station, sources: Sequence[Path], settings: DemoStation, console: Console
) -> dict[str, dict[str, Any]]:
    """Wait until the station was asked and every file is published; return the products by name."""
    names = [source.name for source in sources]
    until, found = time.monotonic() + WAIT_SECONDS, dict[str, dict[str, Any]]()
    with console.status("waiting for the station to be polled") as status:
        while time.monotonic() < until:
            missing = [name for name in names if name not in found]
            if missing:
                found |= {product["Name"]: product for product in client.find(missing)}
            if station.requests and len(found) == len(names):
                return found
            if station.requests:
                status.update(f"{len(found)} of {len(names)} published")
            time.sleep(POLL_SECONDS)
    if not station.requests:
        raise UserError(
            f"the environment did not ask the station at {settings.host}:{settings.port} within {WAIT_SECONDS:.0f} s",
            fix="see the log of ingestion-trigger in the namespace processing, and its network policy",
        )
    missing = [name for name in names if name not in found]
    raise UserError(
        f"not published within {WAIT_SECONDS:.0f} s: {len(missing)} of {len(names)}, such as {', '.join(missing[:3])}",
        fix="see the logs of ingestion-worker, catalogue and publisher in the namespace processing, "
        "and the table ingestion.quarantine",
    )


def _fetch(client: PripClient, product: dict[str, Any], source: Path) -> Delivery:
    """Download a product and compare it with its source and with what the PRIP says of it."""
    download = client.download(product["Id"])
    announced = {each["Algorithm"]: each["Value"].lower() for each in product["Checksum"]}
    if not set(ALGORITHMS) & set(announced):
        raise UserError(f"{source.name}: no checksum that can be compared, only {list(announced)}", fix="report it")
    for name, kind in ALGORITHMS.items():
        with source.open("rb") as file:
            expected = hashlib.file_digest(file, kind).hexdigest()
        _same(f"{source.name}: {name}", download.checksums[name], expected, announced.get(name, expected))
    size = source.stat().st_size
    _same(f"{source.name}: size", download.size, size, product["ContentLength"])
    timeline = client.timeline(source.name)
    if lacking := [step for step in STEPS if step not in timeline]:
        raise UserError(f"{source.name}: its timeline lacks {', '.join(lacking)}", fix="report it")
    return Delivery(source, timeline, download)


def _same(what: str, arrived: object, at_source: object, announced: object) -> None:
    if not arrived == at_source == announced:
        raise UserError(
            f"{what} differs: {at_source} at the source, {announced} announced, {arrived} arrived",
            fix="the product was published before with other content, or is damaged: see its timeline and the "
            "table ingestion.quarantine",
        )


def _once(client: PripClient, sources: Sequence[Path]) -> None:
    counts = Counter(product["Name"] for product in client.find([source.name for source in sources]))
    wrong = {source.name: counts[source.name] for source in sources if counts[source.name] != 1}
    if wrong:
        raise UserError(f"not published exactly once: {wrong}", fix="report it with the publisher's log")


def _table(deliveries: Sequence[Delivery]) -> Table:
    """Seconds that each product spent before each step, and in all from the station to the client."""
    table = Table(title="Seconds from station to client")
    table.add_column("product", no_wrap=True, overflow="ellipsis", max_width=48)
    table.add_column("bytes", justify="right")
    for step in (*STEPS[1:], "downloaded", "total"):
        table.add_column(step, justify="right", no_wrap=True)
    for delivery in deliveries:
        seconds = _seconds(delivery)
        table.add_row(
            delivery.source.name, str(delivery.download.size), *(f"{value:.2f}" for value in (*seconds, sum(seconds)))
        )
    columns = list(zip(*(_seconds(delivery) for delivery in deliveries), strict=True))
    _summary(table, "median", columns, lambda values: sorted(values)[len(values) // 2])
    _summary(table, "slowest", columns, max)
    return table


def _seconds(delivery: Delivery) -> list[float]:
    moments = [delivery.timeline[step] for step in STEPS]
    between = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]
    return [*between, delivery.download.seconds]


def _summary(
    table: Table,
    name: str,
    columns: Sequence[tuple[float, ...]],
    pick: Callable[[Sequence[float]], float],
) -> None:
    totals = [sum(row) for row in zip(*columns, strict=True)]
    table.add_row(name, "", *(f"{pick(values):.2f}" for values in (*columns, totals)), style="bold")


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPError):
        request = getattr(error, "_request", None)
        where = f"{request.method} {request.url.copy_with(query=None)}: " if request else ""
        return (
            f"{where}{error or type(error).__name__}\n  fix: ./refsys status; the address has to be reachable from here"
        )
    return str(error)
