"""Debian packages that a command of this machine needs."""

import os
from collections.abc import Iterable

from rich.console import Console

from refsys.infra import shell


def install(names: Iterable[str], console: Console) -> None:
    """Install those that are missing; says which."""
    missing = [name for name in names if "ok installed" not in _state(name)]
    if missing:
        console.print(f"installing Debian packages: {' '.join(missing)}")
        shell.run("apt-get", "update", "-qq")
        # In run level 1 the packages' daemons are not started.
        quiet = os.environ | {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
        shell.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=quiet)


def _state(name: str) -> str:
    return shell.run("dpkg-query", "--show", "--showformat=${Status}", name, ok=(0, 1))
