"""Where the distribution keeps things on the operator's machine."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def cache() -> Path:
    """Folder of what can be made again: built tools, image layers, node root images."""
    return Path(os.environ.get("REFSYS_CACHE") or Path.home() / ".cache" / "refsys")


def home() -> Path:
    """Folder of what must be kept: Pulumi state, passphrase, environments."""
    return Path(os.environ.get("REFSYS_HOME") or "/var/lib/refsys")


def environment_home(environment: str) -> Path:
    """Folder of one environment: nodes, inventory, keys, logs."""
    return home() / "environments" / environment
