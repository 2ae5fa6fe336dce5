"""A stock node beside a hardened one, by Lynis and OpenSCAP, and how long hardening takes: `./refsys bench hardening`.

The node is a container of the local cloud, made for this and removed; its image holds the packages that the role wants.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from refsys.infra import paths
from refsys.security.compliance import lynis, openscap
from refsys.security.compliance.report import TARGETS
from refsys.security.compliance.results import ToolResult

NAME = "bench-hardening"
NODE = "cp1"
NODES = paths.CHECKOUT / "molecule" / "shared" / "environment.py"
FIRST_SECONDS, SECOND_SECONDS = 90, 15
# Measured on such nodes before: the best public roles that were tried.
PEERS = {"dev-sec os and ssh": (76, 61.2, 174, 229, 1), "konstruktoid": (81, None, 970, None, None)}


@dataclass(frozen=True)
class Scores:
    """What the tools say of a node."""

    lynis: ToolResult
    openscap: ToolResult


@dataclass(frozen=True)
class Playbook:
    """Runs playbooks on the node."""

    inventory: Path

    def __call__(self, name: str, *options: str) -> tuple[float, int]:
        """Seconds, and the number of changed tasks."""
        started = time.monotonic()
        ansible = Path(sys.executable).with_name("ansible-playbook")
        command = [str(ansible), f"--inventory={self.inventory}", *options, f"playbooks/{name}.yml"]
        done = subprocess.run(command, cwd=paths.CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"playbook {name} failed:\n{done.stdout[-4000:]}")
        return time.monotonic() - started, int(re.findall(r"changed=(\d+)", done.stdout)[-1])


def main() -> int:
    """Measure and print; the exit code says whether every target was met."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, _node(Path(folder)) as run:
        stock = _scan(run, Path(folder) / "stock")
        first, _ = run("harden")
        second, changed = run("harden")
        hardened = _scan(run, Path(folder) / "hardened")
    table = Table("what", "stock", "hardened", "target", *PEERS)
    rows: list[tuple[str, str, float, str, float, Callable[[float, float], bool]]] = [
        ("Lynis", f"{stock.lynis.score:g}", hardened.lynis.score, "≥", TARGETS["lynis"], float.__ge__),
        ("OpenSCAP, %", f"{stock.openscap.score:g}", hardened.openscap.score, "≥", TARGETS["openscap"], float.__ge__),
        ("first run, s", "", first, "≤", FIRST_SECONDS, float.__le__),
        ("second run, s", "", second, "≤", SECOND_SECONDS, float.__le__),
        ("changed by it", "", float(changed), "=", 0, float.__eq__),
    ]
    good = True
    for number, (what, before, value, sign, target, meets) in enumerate(rows):
        met = meets(value, target)
        good = good and met
        peers = ["" if figures[number] is None else f"{figures[number]:g}" for figures in PEERS.values()]
        table.add_row(what, before, f"[{'green' if met else 'red'}]{value:.3g}[/]", f"{sign} {target:g}", *peers)
    console.print(table)
    for label, scores in (("stock", stock), ("hardened", hardened)):
        console.print(
            f"{label}: Lynis did {scores.lynis.tests} tests, {len(scores.lynis.failed)} with remarks; "
            f"OpenSCAP counted {scores.openscap.tests} rules, {len(scores.openscap.failed)} failed",
            highlight=False,
        )
    return 0 if good else 1


@contextmanager
def _node(folder: Path) -> Iterator[Playbook]:
    inventory = folder / "inventory" / "environment.yml"
    inventory.parent.mkdir()
    _nodes("create", inventory, NODE)
    try:
        yield Playbook(inventory)
    finally:
        _nodes("destroy", inventory)


def _nodes(verb: str, inventory: Path, *names: str) -> None:
    variables = os.environ | {"PYTHONPATH": str(paths.CHECKOUT / "src")}
    command = [sys.executable, str(NODES), verb, NAME, str(inventory), *names]
    subprocess.run(command, env=variables, check=True)


def _scan(run: Playbook, folder: Path) -> Scores:
    run("compliance", f"--extra-vars=compliance_folder={folder}")
    results = folder / NODE
    return Scores(lynis.read(results / "lynis-report.dat"), openscap.read(results / "openscap.xml"))


if __name__ == "__main__":
    sys.exit(main())
