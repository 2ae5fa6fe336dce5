"""How long the life of a local environment takes, beside the targets: `./refsys bench local [--warm]`.

Uses an environment and, for the cold start, a cache of its own, or the machine's where that holds no tool yet.
`--warm` leaves the cold start out.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import yaml
from rich.console import Console
from rich.table import Table

from refsys.infra import paths
from refsys.infra.environment import config_file

NAME = "t-bench"
REST_LOAD, REST_SECONDS = 1.0, 600
"""A worker is added to an environment at rest: its start is over when the load of a minute is below this."""
LINE = re.compile(r"^(\S+ \S+),\d+ \d+ INFO refsys (begin|end) (.*)$")


@dataclass(frozen=True)
class Figure:
    """One measurement, in seconds, beside its target."""

    what: str
    seconds: float
    target: float


def main() -> int:
    """Measure and print; the exit code says whether every target was met."""
    console = Console()
    figures = []
    try:
        if "--warm" not in sys.argv:
            with _empty_cache() as cache:
                figures.append(Figure("nothing built → up complete", _refsys("up", cache=cache), 35 * 60))
                _refsys("down")
        started = datetime.now()
        figures.append(Figure("built tools → up complete", _refsys("up"), 10 * 60))
        figures.append(Figure("  of that, booted nodes → cluster ready", _cluster_seconds(started), 90))
        figures.append(Figure("second up, nothing to do", _refsys("up"), 60))
        _rest(console)
        _workers(2)
        figures.append(Figure("one more worker, at rest", _refsys("up"), 60))
        figures.append(Figure("down", _refsys("down"), 30))
    finally:
        _refsys("down")
        config_file(NAME).unlink(missing_ok=True)
    table = Table("what", "measured", "target", "ratio to target")
    for figure in figures:
        ratio = figure.seconds / figure.target
        colour = "green" if ratio <= 1 else "red"
        table.add_row(figure.what, f"{figure.seconds:.0f} s", f"{figure.target:.0f} s", f"[{colour}]{ratio:.2f}[/]")
    console.print(table)
    return 0 if all(figure.seconds <= figure.target for figure in figures) else 1


@contextmanager
def _empty_cache() -> Iterator[str]:
    if not (paths.cache() / "tools").exists():
        yield str(paths.cache())
        return
    with tempfile.TemporaryDirectory(prefix="refsys-cache-", dir=paths.cache().parent) as cache:
        yield cache


def _refsys(verb: str, cache: str | None = None) -> float:
    started = time.monotonic()
    variables = os.environ | ({"REFSYS_CACHE": cache} if cache else {})
    subprocess.run([str(paths.CHECKOUT / "refsys"), verb, NAME], cwd=paths.CHECKOUT, env=variables, check=True)
    return time.monotonic() - started


def _rest(console: Console) -> None:
    started = time.monotonic()
    with console.status("waiting until the environment is at rest"):
        while os.getloadavg()[0] > REST_LOAD and time.monotonic() - started < REST_SECONDS:
            time.sleep(5)
    console.print(f"at rest after {time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.1f}")


def _workers(number: int) -> None:
    document = yaml.safe_load(config_file(NAME).read_text())
    document["config"] = {**(document.get("config") or {}), "refsys:local": {"workers": number}}
    config_file(NAME).write_text(yaml.safe_dump(document))


def _cluster_seconds(since: datetime) -> float:
    """From the last booted node to the cluster playbook's end, read off the log of the command line."""
    booted = ready = since
    for line in (paths.home() / "logs" / "refsys.log").read_text().splitlines():
        if match := LINE.match(line):
            at = datetime.strptime(match.group(1), "%Y-%m-%d %H:%M:%S")
            if at >= since.replace(microsecond=0) and match.group(2) == "end":
                booted = max(booted, at) if " Node " in match.group(3) else booted
                ready = at if " Playbook cluster" in match.group(3) else ready
    return (ready - booted).total_seconds()


if __name__ == "__main__":
    sys.exit(main())
