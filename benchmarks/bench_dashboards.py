"""How long panels of the dashboards take: `python benchmarks/bench_dashboards.py [--days 30] [--interval 120]`.

Every query of every panel is asked of a real Prometheus over the whole time, in steps as Grafana takes them (a panel of
a thousand points), and those of single figures at its end, three times; the fastest counts, since others use the
machine as well. What is asked for is made up, as much as a local environment has, in blocks of 18 hours. An environment
keeps 30 s for two days, 300 s for a month, so that an interval of 120 s is more than it has to read.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "src")]

import httpx  # noqa: E402
from benchmarks.dashboard_series import METRICS  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402
from tests.means.processes import free_port, running  # noqa: E402
from tests.means.prometheus import PROGRAM, PROMTOOL  # noqa: E402

from refsys.monitoring.dashboards import BOARDS, Panel  # noqa: E402

BLOCK_SECONDS = 18 * 3600  # as Prometheus makes of nine blocks of two hours
PATTERNS = 16
POINTS = 1000
TRIES = 3
SHOWN = 12
TARGET_SECONDS = 1.0


def main() -> int:
    """Measure and print; the exit code says whether the slowest is fast enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30, help="of metrics (default 30)")
    parser.add_argument("--interval", type=int, default=120, help="seconds between samples (default 120)")
    arguments = parser.parse_args()
    end = int(time.time()) // BLOCK_SECONDS * BLOCK_SECONDS
    start = end - -(-arguments.days * 86400 // BLOCK_SECONDS) * BLOCK_SECONDS
    with tempfile.TemporaryDirectory(prefix="refsys-bench-", dir="/var/tmp") as name:
        number = _make(Path(name), start, end, arguments.interval)
        found = _ask(Path(name), start, end)
    _show(found, number, arguments.days, arguments.interval)
    return 0 if max(seconds for seconds, *_ in found) <= TARGET_SECONDS else 1


def _make(folder: Path, start: int, end: int, interval: int) -> int:
    """Make the blocks; returns how many series there are."""
    drawn = random.Random(1)  # noqa: S311 - no secret
    steps = [drawn.random() for _ in range(PATTERNS)]
    series = [(each, metric.counter, drawn.randrange(PATTERNS)) for metric in METRICS for each in metric.series()]
    for begin in track(range(start, end, BLOCK_SECONDS), "making metrics"):
        moments = range(begin, begin + BLOCK_SECONDS, interval)
        rising = [["", *(f" {(moment - start) * step:.2f} {moment}\n" for moment in moments)] for step in steps]
        waving = [["", *(f" {drawn.random() * step:.3f} {moment}\n" for moment in moments)] for step in steps]
        file = folder / "metrics"
        with file.open("w") as written:
            # One after another: all samples of a series, which is what takes least to write.
            written.writelines(each.join((rising if counter else waving)[which]) for each, counter, which in series)
            written.write("# EOF\n")
        command: list[str | Path] = [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
        command += [f"--max-block-duration={BLOCK_SECONDS}s", file, folder / "data"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        file.unlink()
    return len(series)


def _ask(folder: Path, start: int, end: int) -> list[tuple[float, int, str, str]]:
    """Return seconds, number of series, board and expression of each query, the slowest first."""
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [
        PROGRAM,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=1y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def ready() -> bool:
        try:
            return httpx.get(f"{url}/-/ready", trust_env=False).is_success
        except httpx.TransportError:
            return False

    found = []
    with (
        running(command, folder / "log", ready=ready, seconds=300),
        httpx.Client(trust_env=False, timeout=120) as client,
    ):
        for board in BOARDS:
            figures = [panel.figure for panel in board.panels if isinstance(panel, Panel) for _ in panel.queries]
            for expression, figure in track(list(zip(board.expressions, figures, strict=True)), board.title):
                asked = {"query": expression, "start": start, "end": end, "step": (end - start) // POINTS}
                path, asked = ("query", {"query": expression, "time": end - 1}) if figure else ("query_range", asked)
                tries = []
                for _ in range(TRIES):
                    began = time.monotonic()
                    answer = client.post(f"{url}/api/v1/{path}", data=asked).raise_for_status()
                    tries.append(time.monotonic() - began)
                found.append((min(tries), len(answer.json()["data"]["result"]), board.title, expression))
    return sorted(found, reverse=True)


def _show(found: list[tuple[float, int, str, str]], number: int, days: int, interval: int) -> None:
    table = Table("s", "series", "dashboard", "query")
    for seconds, series, board, expression in found[:SHOWN]:
        colour = "green" if seconds <= TARGET_SECONDS else "red"
        table.add_row(f"[{colour}]{seconds:.2f}[/]", str(series), board, expression)
    console = Console()
    console.print(table)
    empty = [f"{board}: {expression}" for _, series, board, expression in found if not series]
    console.print(
        f"{len(found)} queries over {days} days of {number} series, a sample in {interval} s", *empty, sep="\n"
    )
    console.print(f"load of the machine: {os.getloadavg()[0]:.1f}; target <= {TARGET_SECONDS:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
