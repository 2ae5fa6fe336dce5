"""The test suites and benchmarks behind `refsys test` and `refsys bench`."""

import os
import subprocess
import sys
import time
from enum import StrEnum

from rich.console import Console

from refsys.infra import paths
from refsys.infra.cli.stack import engine_variables
from refsys.infra.errors import UserError

DEFAULT = ("lint", "unit", "services", "plugin", "images", "roles", "local")


class Suite(StrEnum):
    """A named part of the tests."""

    LINT = "lint"
    UNIT = "unit"
    SERVICES = "services"
    PLUGIN = "plugin"
    IMAGES = "images"
    ROLES = "roles"
    LOCAL = "local"
    ALL = "all"


def run(suite: Suite | None, console: Console) -> int:
    """Run a suite, or the default ones; `all` adds what takes long. Returns an exit code."""
    names = [suite.value] if suite and suite is not Suite.ALL else list(DEFAULT)
    os.environ.update(engine_variables())
    failed = []
    for name in names:
        started = time.monotonic()
        console.rule(f"{name}")
        code = _pytest(name, long=suite is Suite.ALL)
        outcome = "passed" if code == 0 else "failed"
        console.print(f"suite {name} {outcome} after {time.monotonic() - started:.0f} s", highlight=False)
        failed += [name] if code else []
    if failed:
        console.print(f"[red]failed:[/] {', '.join(failed)}")
    return 1 if failed else 0


def _pytest(name: str, *, long: bool) -> int:
    selection = [] if long else ["-m", "not long"]
    command = [sys.executable, "-m", "pytest", *selection, str(paths.CHECKOUT / "tests" / name)]
    return subprocess.run(command, cwd=paths.CHECKOUT, check=False).returncode


def bench(what: str, arguments: list[str]) -> int:
    """Run the benchmark `benchmarks/bench_<what>.py`."""
    script = paths.CHECKOUT / "benchmarks" / f"bench_{what}.py"
    if not script.exists():
        known = ", ".join(sorted(path.stem.removeprefix("bench_") for path in script.parent.glob("bench_*.py")))
        raise UserError(f"there is no benchmark {what!r}", fix=f"take one of: {known}")
    return subprocess.run([sys.executable, str(script), *arguments], cwd=paths.CHECKOUT, check=False).returncode
