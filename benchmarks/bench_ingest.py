"""How fast files come in: `python benchmarks/bench_ingest.py [--gigabytes 2] [--products 1000]`.

Two figures, each with its limit measured in the same run on the same servers:

- a downlink channel of large files from a CADIP station into the object store by one ingestion worker, beside the rate
  at which the gateway takes the same bytes from memory by the same client, parts and number of files at a time. In
  both the gateway has one core for itself and everything else the others: what is asked is whether a worker keeps it
  busy, as where they run on different nodes, not who gets a core first;
- small auxiliary files from an AUXIP station through ingestion, catalogue and publication, beside the rate at which the
  gateway takes as many small objects.

PostgreSQL, Kafka, the gateway and the processes of the chain are real, each a process of its own; the stations are
simulators without TLS, so that their cost on this machine is small.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "src")]

from pydantic import HttpUrl  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from sqlalchemy import text  # noqa: E402
from tests.means.cadip import Block, Cadip  # noqa: E402
from tests.means.chain import Chain, chain  # noqa: E402
from tests.means.generator import generate  # noqa: E402
from tests.means.processes import Server, free_port, listens  # noqa: E402

from refsys.services.common.settings import S3Settings  # noqa: E402
from refsys.services.common.store import ObjectStore  # noqa: E402

CORES = os.sched_getaffinity(0)
GATEWAY_CORES = {min(CORES)}
CONNECTIONS = 4  # files at a time, the default of a station
BLOCK_BYTES = 100_000_000  # of a file of a channel
BLOCK_PIECE = 2**20
SMALL_BYTES = 4_000
TARGET_RATIO, TARGET_MEBIBYTES, TARGET_PER_SECOND = 0.9, 256, 40
PROCESSES = ("ingestion-trigger", "ingestion-worker", "catalogue", "publisher")


def main() -> int:
    """Measure and print; the exit code says whether the targets were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2, help="of the channel (default 2)")
    parser.add_argument("--products", type=int, default=1000, help="small files (default 1000)")
    arguments = parser.parse_args()
    console = Console()
    table = Table("what", "measured", "limit", "ratio", "target")
    with tempfile.TemporaryDirectory(prefix="refsys-bench-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)
        good = [
            _channel(Path(folder) / "channel", round(arguments.gigabytes * 1e9), table, console),
            _small(Path(folder) / "small", arguments.products, table, console),
        ]
    console.print(table)
    return 0 if all(good) else 1


def _channel(folder: Path, size: int, table: Table, console: Console) -> bool:
    blocks = max(1, round(size / BLOCK_BYTES))
    total = blocks * BLOCK_BYTES
    with (
        _on_cores(CORES - GATEWAY_CORES or CORES),
        _station(folder, "cadip", [__file__, "cadip", str(blocks)]) as station,
        chain(folder, [station]) as running,
    ):
        _pin(running.s3.server.process.pid, GATEWAY_CORES)
        with console.status("the gateway alone"):
            limit = total / _put(running, blocks, BLOCK_BYTES, "limit")
        with console.status("a channel from the station"):
            seconds = _ingested(running, blocks)
        peak = running.processes["ingestion-worker"].peak_mebibytes()
    rate = total / seconds
    good = rate >= TARGET_RATIO * limit
    table.add_row(
        f"channel of {total / 1e9:.1f} GB", f"{rate / 1e6:.0f} MB/s", f"gateway alone {limit / 1e6:.0f} MB/s",
        f"{rate / limit:.2f}", _coloured(f">= {TARGET_RATIO}", good),
    )  # fmt: skip
    flat = peak <= TARGET_MEBIBYTES
    table.add_row("memory of the worker", f"{peak:.0f} MiB", "", "", _coloured(f"<= {TARGET_MEBIBYTES} MiB", flat))
    return good and flat


def _small(folder: Path, products: int, table: Table, console: Console) -> bool:
    files = folder / "station"
    names = _small_files(files, products)
    with (
        _station(folder, "auxip", ["-m", "tests.means.station", str(files), "--port"]) as station,
        chain(folder, [station]) as running,
    ):
        with console.status("small objects, the gateway alone"):
            limit = products / _put(running, products, SMALL_BYTES, "limit")
        with console.status("small products from the station to the PRIP"):
            seconds = _published(running, names)
    rate = products / seconds
    good = rate >= TARGET_PER_SECOND
    table.add_row(
        f"{products} small products to the PRIP", f"{rate:.0f} /s", f"gateway alone {limit:.0f} /s",
        f"{rate / limit:.2f}", _coloured(f">= {TARGET_PER_SECOND} /s", good),
    )  # fmt: skip
    return good


@contextmanager
def _on_cores(cores: set[int]) -> Iterator[None]:
    """Run what is started inside on some cores."""
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, CORES)


def _pin(process: int, cores: set[int]) -> None:
    """Have a running process with all its threads on some cores."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _coloured(text: str, good: bool) -> str:
    return f"[{'green' if good else 'red'}]{text}[/]"


def _small_files(folder: Path, number: int) -> int:
    """Make `number` small auxiliary files; orbit files, which are large, are left out."""
    made = 0
    for seed in range(1, 10**6):
        for path in generate(folder, 5, seed=seed, size=SMALL_BYTES):
            if path.stat().st_size > 10 * SMALL_BYTES or made == number:
                path.unlink()
            else:
                made += 1
        if made == number:
            break
    return made


@contextmanager
def _station(folder: Path, kind: str, command: list[str]) -> Iterator[dict[str, Any]]:
    """A station in a process of its own, whose command ends with its port; its entry in the stations file."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    environment = {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'src'}"}
    server = Server(
        [sys.executable, *command, str(port)], folder / "station.log", lambda: listens(port), 60, environment
    )
    server.start()
    password = folder / "station.password"
    password.write_text("station-password")
    url = f"http://127.0.0.1:{port}"
    try:
        yield {
            "name": "BENCH",
            "type": kind,
            "url": f"{url}/odata/v1",
            "token_url": f"{url}/token",
            "client_id": "station-client",
            "username": "station-user",
            "password_file": str(password),
            "connections": CONNECTIONS,
            "poll_seconds": 1,
        }
    finally:
        server.stop()


def cadip(blocks: str, port: str) -> None:
    """Be a station with one session of one channel, whose bytes cost nothing to make."""
    tile = bytes(range(256)) * (BLOCK_PIECE // 256)

    def content(self: Block, start: int = 0) -> Iterator[bytes]:
        for position in range(start, self.size, BLOCK_PIECE):
            yield tile[: self.size - position]

    Block.content = content  # type: ignore[method-assign]
    with Cadip(port=int(port)) as station:
        station.add_session(channels=1, blocks=int(blocks), size=BLOCK_BYTES)
        threading.Event().wait()


def _put(running: Chain, number: int, size: int, name: str) -> float:
    """Seconds in which the gateway takes objects from memory, by a client in a process of its own."""
    given = (running.s3.endpoint, running.s3.ca_file, running.s3.access_key_file, running.s3.secret_key_file)
    command = [sys.executable, __file__, "put", *map(str, given), str(number), str(size), name]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def put(endpoint: str, ca: str, access: str, secret: str, number: str, size: str, name: str) -> None:  # noqa: PLR0917
    """Put objects, and print the seconds."""
    store = ObjectStore(
        S3Settings(
            endpoint=HttpUrl(endpoint), ca_file=Path(ca), access_key_file=Path(access), secret_key_file=Path(secret)
        )
    )
    store.make_bucket("bench")
    tile = bytes(range(256)) * 4096

    def one(index: int) -> None:
        left = int(size)
        chunks = [tile] * (left // len(tile)) + [tile[: left % len(tile)]]
        store.put("bench", f"{name}/{index}", chunks, left)

    started = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(one, range(int(number))))
        seconds = time.monotonic() - started
        # The disk need not hold them and the channel at once.
        list(pool.map(lambda index: store.delete("bench", f"{name}/{index}"), range(int(number))))
    print(seconds)  # noqa: T201  # for the process that started this one


def _ingested(running: Chain, blocks: int) -> float:
    """Seconds in which a worker stores the files of a channel, from the first byte read to the last file."""
    running.start("ingestion-trigger")
    _until(lambda: _count(running, "SELECT count(*) FROM ingestion.inbox_entry") >= blocks)
    running.start("ingestion-worker")
    query = "SELECT count(*) FROM ingestion.stored_file"
    _until(lambda: _count(running, query) >= blocks)
    with running.engine.connect() as connection:
        log = (running.folder / "ingestion-worker.log").read_text()
        first = min(line for line in log.splitlines() if "IngestionWorker" in line and '"BEGIN"' in line)
        last = connection.execute(
            text("SELECT max(extract(epoch FROM stored)) FROM ingestion.stored_file")
        ).scalar_one()
    return float(last) - _moment(first)


def _moment(line: str) -> float:
    return datetime.fromisoformat(json.loads(line)["header"]["timestamp"]).timestamp()


def _published(running: Chain, number: int) -> float:
    """Seconds from the first file seen to the last one published."""
    running.start(*reversed(PROCESSES))
    _until(lambda: _count(running, "SELECT count(*) FROM distribution.product") >= number)
    with running.engine.connect() as connection:
        first = text("SELECT min(extract(epoch FROM seen)) FROM ingestion.inbox_entry")
        last = text("SELECT max(extract(epoch FROM publication_date)) FROM distribution.product")
        return float(connection.execute(last).scalar_one()) - float(connection.execute(first).scalar_one())


def _count(running: Chain, query: str) -> int:
    with running.engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


def _until(condition: Callable[[], bool], seconds: float = 3600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.2)


if __name__ == "__main__":
    if sys.argv[1:2] == ["put"]:
        put(*sys.argv[2:])
    elif sys.argv[1:2] == ["cadip"]:
        cadip(*sys.argv[2:])
    else:
        sys.exit(main())
