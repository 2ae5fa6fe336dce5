"""The test suites and benchmarks behind `refsys test` and `refsys bench`."""

import os
import subprocess
import sys
import tempfile
import time
from enum import StrEnum

from rich.console import Console

from refsys.infra import paths
from refsys.infra.cli import engine, packages, tools
from refsys.infra.cli.steps import Steps
from refsys.infra.errors import UserError
from refsys.infra.vm_image.build import HOST_PACKAGES

DEFAULT = ("lint", "unit", "services", "plugin", "images", "roles", "local")

# What only `all` adds.
LONG = ("openstack",)

# Suites whose tests run side by side, with how many at once: those of services, plugin and roles wait more than
# they work.
SIDE_BY_SIDE = {"lint": 2, "unit": 2, "services": 4, "plugin": 3, "images": 2, "roles": 2}

# Servers and clients that tests run as plain processes, and what the image of virtual machines is made and run with.
PACKAGES = (
    *HOST_PACKAGES,
    "chromium",
    "clamav-daemon",
    "docker-registry",
    "gnupg",
    "nmap",
    "ovmf",
    "postgresql-15",
    "postgresql-15-postgis-3",
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-blackbox-exporter",
    "prometheus-postgres-exporter",
    "qemu-system-x86",
    "rclone",
    "rsyslog",
    "rsyslog-kafka",
    "skopeo",
    "slapd",
    "xorriso",
)


class Suite(StrEnum):
    """A named part of the tests."""

    LINT = "lint"
    UNIT = "unit"
    SERVICES = "services"
    PLUGIN = "plugin"
    IMAGES = "images"
    ROLES = "roles"
    LOCAL = "local"
    OPENSTACK = "openstack"
    ALL = "all"


def run(suite: Suite | None, console: Console) -> int:
    """Run a suite, or the default ones; `all` adds what takes long. Returns an exit code."""
    names = [suite.value] if suite and suite is not Suite.ALL else list(DEFAULT)
    if suite is Suite.ALL:
        names += LONG
    packages.install(PACKAGES, console)
    with Steps(console) as steps:
        tools.Building(steps).finish()
    os.environ.update(engine.variables())
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
    side_by_side = ["-n", str(SIDE_BY_SIDE[name]), "--dist", "loadgroup"] if name in SIDE_BY_SIDE else []
    # pytest's own folder is shared: three more runs beside this one, and it would be cleared away.
    with tempfile.TemporaryDirectory(prefix=f"refsys-test-{name}-", ignore_cleanup_errors=True) as folder:
        options = [*selection, *side_by_side, f"--basetemp={folder}/pytest"]
        command = [sys.executable, "-m", "pytest", *options, str(paths.CHECKOUT / "tests" / name)]
        return subprocess.run(command, cwd=paths.CHECKOUT, check=False).returncode


def bench(what: str, arguments: list[str]) -> int:
    """Run the benchmark `benchmarks/bench_<what>.py`."""
    script = paths.CHECKOUT / "benchmarks" / f"bench_{what}.py"
    if not script.exists():
        known = ", ".join(sorted(path.stem.removeprefix("bench_") for path in script.parent.glob("bench_*.py")))
        raise UserError(f"there is no benchmark {what!r}", fix=f"take one of: {known}")
    return subprocess.run([sys.executable, str(script), *arguments], cwd=paths.CHECKOUT, check=False).returncode
