"""How fast the STAC API answers the searches of a typical client: `./refsys bench stac`.

    python benchmarks/bench_stac.py [--products 1000000] [--repeat 20] [--alone]

Fills a PostgreSQL of its own with made-up products and measures p50 and p95 of each request over HTTP. Unless
`--alone`, the same items are loaded into pgSTAC in the same server, and stac-fastapi-pgstac is asked the same;
it is installed from PyPI into a virtual environment in the cache folder. Auxiliary items, which have no geometry,
get one at the South Pole there, since pgSTAC takes none without. The exit code says whether the target is met:
three times as fast, by the median of the searches' ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, text

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "src")]

from benchmarks.stac_products import fill  # noqa: E402
from benchmarks.stac_searches import Call, searches  # noqa: E402
from tests.means.postgresql import PostgreSQL, postgresql  # noqa: E402
from tests.means.processes import free_port  # noqa: E402

from refsys.infra import paths  # noqa: E402
from refsys.services.common.database import open_database  # noqa: E402
from refsys.services.common.settings import DatabaseSettings  # noqa: E402
from refsys.services.distribution.stac.collections import collection_json  # noqa: E402
from refsys.services.distribution.stac.items import Addresses, item_json  # noqa: E402
from refsys.services.distribution.stac.repository import Items  # noqa: E402
from refsys.services.distribution.stac.search import build  # noqa: E402
from refsys.services.migrations.upgrade import upgrade  # noqa: E402

DATABASE = "bench"
TARGET = 3.0
ADDRESSES = Addresses("https://stac.example.test", "https://prip.example.test", "https://auth.example.test")
PACKAGES = ("pypgstac[psycopg]", "stac-fastapi.pgstac", "uvicorn")
POLE = {"type": "Point", "coordinates": [0.0, -90.0]}
HEADERS = {"Authorization": "Bearer valid"}

Times = dict[str, list[float]]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--products", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--alone", action="store_true", help="without the comparison")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(*arguments.serve.split(","))
        return 0
    console = Console()
    with tempfile.TemporaryDirectory(prefix="refsys-bench-") as folder, postgresql(Path(folder) / "server") as server:
        server.run(f"CREATE DATABASE {DATABASE}")
        engine = open_database(_settings(server), "bench")
        upgrade(engine)
        started = time.monotonic()
        fill(engine, arguments.products)
        console.print(f"{arguments.products} products in {time.monotonic() - started:.0f} s")
        names = _names(engine)
        environment = {} if arguments.alone else _pgstac(engine, server, Path(folder), console)
        port = free_port()
        own = [sys.executable, __file__, "--serve", f"{server.port},{server.password_file},{port}"]
        with _running(own, port, os.environ.copy()) as url:
            ours = _measure(url, names, arguments.repeat)
        theirs: Times = {}
        if environment:
            port = free_port()
            command = [str(_venv() / "bin" / "uvicorn"), "stac_fastapi.pgstac.app:create_app", "--factory"]
            with _running([*command, "--port", str(port), "--no-access-log"], port, environment) as url:
                theirs = _measure(url, names, arguments.repeat)
        engine.dispose()
    return _report(console, ours, theirs)


def _report(console: Console, ours: Times, theirs: Times) -> int:
    table = Table("request", "p50 ms", "p95 ms", "pgSTAC p50 ms", "pgSTAC p95 ms", "ratio of p50")
    ratios = []
    for title, times in ours.items():
        row = [title, *_shown(times)]
        if theirs:
            ratios.append(statistics.median(theirs[title]) / statistics.median(times))
            row += [*_shown(theirs[title]), f"{ratios[-1]:.1f}"]
        table.add_row(*row)
    console.print(table)
    if not ratios:
        return 0
    ratio = statistics.median(ratios)
    console.print(f"median of the ratios {ratio:.1f}, smallest {min(ratios):.1f}, target {TARGET:.1f}")
    return 0 if ratio >= TARGET else 1


def _shown(times: list[float]) -> tuple[str, str]:
    return f"{1000 * statistics.median(times):.1f}", f"{1000 * statistics.quantiles(times, n=20)[-1]:.1f}"


def _measure(url: str, names: list[tuple[str, str]], repeat: int) -> Times:
    """Return the seconds of each request; two rounds beforehand warm the caches."""
    found: Times = {}
    with httpx.Client(base_url=url, headers=HEADERS, timeout=300, trust_env=False) as client:
        for title, draw in searches(names).items():
            random = Random(title)  # noqa: S311 - the same draws for both services
            times = [_seconds(client, draw(random)) for _ in range(repeat + 2)]
            found[title] = times[2:]
    return found


def _seconds(client: httpx.Client, call: Call) -> float:
    started = time.perf_counter()
    answer = client.get(call.path) if call.body is None else client.post(call.path, json=call.body)
    seconds = time.perf_counter() - started
    answer.raise_for_status()
    return seconds


def _names(engine: Engine) -> list[tuple[str, str]]:
    statement = text("SELECT collection, name FROM distribution.product ORDER BY id LIMIT 500")
    with engine.connect() as connection:
        rows = connection.execute(statement).all()
    return [(row.collection, row.name) for row in rows]


def _settings(server: PostgreSQL) -> DatabaseSettings:
    return DatabaseSettings(url=server.url(DATABASE), password_file=server.password_file)


def _serve(database_port: str, password_file: str, port: str) -> None:
    """Serve the STAC API over the bench's database, to whoever calls himself valid."""
    import uvicorn  # noqa: PLC0415 - in the child only
    from tests.services.stac_service import application  # noqa: PLC0415

    engine = open_database(_settings(PostgreSQL(int(database_port), Path(password_file))), "stac", pool_size=10)
    app = application(engine, ADDRESSES._replace(stac=f"http://127.0.0.1:{port}"))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_config=None, access_log=False)


@contextmanager
def _running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[str]:
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=CHECKOUT)
        try:
            until = time.monotonic() + 60
            while not _answers(url):
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise RuntimeError(f"{command[0]} does not serve: {log.read().decode()[-3000:]}")
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, headers=HEADERS, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _venv() -> Path:
    """The environment with pgSTAC, installed once."""
    folder = paths.cache() / "bench-pgstac"
    if not (folder / "bin" / "pypgstac").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *PACKAGES], check=True)
    return folder


def _pgstac(engine: Engine, server: PostgreSQL, folder: Path, console: Console) -> dict[str, str]:
    """Load the items into pgSTAC; return the environment of a process that reads them."""
    started = time.monotonic()
    server.run("CREATE DATABASE pgstac")
    environment = os.environ | {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGUSER": "postgres",
        "PGPASSWORD": server.password_file.read_text(),
        "PGDATABASE": "pgstac",
        "ENABLED_EXTENSIONS": "query,sort,fields,filter,pagination",
    }
    program = str(_venv() / "bin" / "pypgstac")
    subprocess.run([program, "migrate"], env=environment, check=True, stdout=subprocess.DEVNULL)
    collections, items = folder / "collections.ndjson", folder / "items.ndjson"
    _write(engine, collections, items)
    for kind, file in (("collections", collections), ("items", items)):
        command = [program, "load", kind, str(file), "--method", "insert"]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    settings = DatabaseSettings(url=server.url("pgstac"), password_file=server.password_file)
    pgstac = open_database(settings, "bench")
    with pgstac.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    pgstac.dispose()
    console.print(f"loaded into pgSTAC in {time.monotonic() - started:.0f} s")
    return environment


def _write(engine: Engine, collections: Path, items: Path) -> None:
    published = Items(engine)
    with collections.open("w") as file:
        for collection in published.collections():
            file.write(json.dumps(collection_json(collection, ADDRESSES.stac)) + "\n")
    token: str | None = ""
    with items.open("w") as file:
        while token is not None:
            page = published.search(build(sortby=["published"], limit=1000, token=token or None))
            for row in page.rows:
                item = item_json(row, ADDRESSES)
                if item["geometry"] is None:
                    item |= {"geometry": POLE, "bbox": [0.0, -90.0, 0.0, -90.0]}
                file.write(json.dumps(item) + "\n")
            token = page.next


if __name__ == "__main__":
    sys.exit(main())
