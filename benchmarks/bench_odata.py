"""How long the PRIP takes to answer the usual queries: `python benchmarks/bench_odata.py [--products N]`.

Fills a PostgreSQL of its own with generated products (1 million unless told, `--products 10000000` for ten) and sends
twenty usual queries, each with a page and an exact count, through the whole application. Most change a value each
time, as clients do.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "src")]

import httpx  # noqa: E402
from benchmarks.odata_cases import CASES, Case, values  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from sqlalchemy import Engine  # noqa: E402
from tests.means.issuer import authenticator, bearer  # noqa: E402
from tests.means.postgresql import postgresql  # noqa: E402
from tests.means.published import fill  # noqa: E402

from refsys.services.common import logs  # noqa: E402
from refsys.services.common.database import open_database  # noqa: E402
from refsys.services.common.operations import Health  # noqa: E402
from refsys.services.common.settings import DatabaseSettings, QuotaSettings, S3Settings  # noqa: E402
from refsys.services.common.store import ObjectStore  # noqa: E402
from refsys.services.distribution.app import create_app  # noqa: E402
from refsys.services.distribution.download import Downloads  # noqa: E402
from refsys.services.distribution.quotas import Quotas  # noqa: E402
from refsys.services.distribution.repository import Products  # noqa: E402
from refsys.services.migrations.upgrade import upgrade  # noqa: E402

TARGET_SECONDS = 0.050
# As in an environment (platform/components/postgresql_config.py).
POSTGRESQL = {
    "shared_buffers": "256MB",
    "effective_cache_size": "768MB",
    "work_mem": "8MB",
    "random_page_cost": "1.1",
    "max_wal_size": "4GB",
}


@dataclass(frozen=True)
class Figure:
    """Seconds of one case: the first request, and all the others."""

    case: Case
    first: float
    seconds: list[float]
    products: int

    @property
    def p95(self) -> float:
        """The 95th percentile."""
        return statistics.quantiles(self.seconds, n=20, method="inclusive")[18]


def main() -> int:
    """Measure and print; the exit code says whether the target was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=1_000_000, help="how many (default 1000000)")
    parser.add_argument("--repetitions", type=int, default=30, help="requests of each case (default 30)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the products there, for other runs with them")
    arguments = parser.parse_args()
    logs.configure("bench", level="ERROR")
    console = Console()
    with tempfile.TemporaryDirectory(prefix="refsys-bench-") as name:
        folder = (arguments.keep or Path(name)) / str(arguments.products)
        folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        Path(name).chmod(0o711)
        with _database(folder, arguments.products, console) as engine:
            figures = asyncio.run(measure(engine, arguments.products, arguments.repetitions))
    return report(figures, console)


@contextmanager
def _database(folder: Path, number: int, console: Console) -> Iterator[Engine]:
    filled = folder / "filled"
    with postgresql(folder / "server", POSTGRESQL) as server:
        settings = DatabaseSettings(url=server.url("bench"), password_file=server.password_file)
        engine = open_database(settings, "bench", pool_size=4)
        if not filled.exists():
            started = time.monotonic()
            server.run("DROP DATABASE IF EXISTS bench")
            server.run("CREATE DATABASE bench")
            upgrade(engine)
            fill(f"{settings.url.replace('+psycopg', '')}?password={server.password_file.read_text()}", number)
            filled.touch()
            console.print(f"{number} products in {time.monotonic() - started:.0f} s")
        yield engine
        engine.dispose()


async def measure(engine: Engine, number: int, repetitions: int) -> list[Figure]:
    """Send every case `repetitions` times over a table of `number` products."""
    quotas = Quotas(engine, QuotaSettings(requests_per_minute=10**9))
    nowhere = S3Settings.model_construct()
    downloads = Downloads(ObjectStore(nowhere), quotas)
    app = create_app(Products(engine), downloads, authenticator(), "https://prip.example.test", Health())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://prip.example.test", headers=bearer()) as client:
        await client.get("/odata/v1/Products?$top=1")
        return [await _figure(client, engine, case, number, repetitions) for case in CASES]


async def _figure(client: httpx.AsyncClient, engine: Engine, case: Case, number: int, repetitions: int) -> Figure:
    random, seconds, products = Random(case.what), [], 0  # noqa: S311
    for _ in range(repetitions + 1):
        condition = case.filter.format(**values(engine, random, number))
        started = time.perf_counter()
        answer = await client.get(f"/odata/v1/Products?$filter={condition}&$count=true&{case.options}")
        seconds.append(time.perf_counter() - started)
        answer.raise_for_status()
        products = answer.json()["@odata.count"]
    return Figure(case, seconds[0], seconds[1:], products)


def report(figures: list[Figure], console: Console) -> int:
    """Print the figures beside the target; return the exit code."""
    table = Table("query, page and exact count", "found", "first", "p50", "p95", "target")
    for figure in figures:
        columns = (figure.first, statistics.median(figure.seconds), figure.p95)
        colour = "green" if figure.p95 <= TARGET_SECONDS else "red"
        shown = [f"{seconds * 1000:.1f} ms" for seconds in columns]
        target = f"{TARGET_SECONDS * 1000:.0f} ms"
        table.add_row(figure.case.what, str(figure.products), *shown[:2], f"[{colour}]{shown[2]}[/]", target)
    everything = [seconds for figure in figures for seconds in figure.seconds]
    overall = statistics.quantiles(everything, n=20, method="inclusive")[18]
    median = statistics.median(everything)
    table.add_row(
        "all", "", "", f"{median * 1000:.1f} ms", f"{overall * 1000:.1f} ms", f"{TARGET_SECONDS * 1000:.0f} ms"
    )
    console.print(table)
    return 0 if overall <= TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
