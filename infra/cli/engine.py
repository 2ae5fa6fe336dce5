"""The engine as a program: what it is started with, and how one that still runs is ended."""

import os
import secrets
import signal
import time
from importlib.metadata import version
from pathlib import Path

from refsys.infra import paths
from refsys.infra.cli import locks
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.toolchain import tool_bin

VENDOR_PLUGINS = Path.home() / ".pulumi" / "plugins"
OWN_PLUGINS = paths.CHECKOUT / "infra" / "plugins" / "bin"
FETCHED = frozenset({"scaleway"})
"""Clouds that only the vendor's plugin serves."""
MEMORY = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
"""Memory for processor time: the engine writes its whole state down after every step."""
STOP_SECONDS = 60


def variables() -> dict[str, str]:
    """Variables with which the engine finds state, passphrase, programs and plugins."""
    backend = paths.home() / "pulumi"
    backend.mkdir(parents=True, exist_ok=True, mode=0o700)
    passphrase = backend / "passphrase"
    if not passphrase.exists():
        paths.write_private(passphrase, secrets.token_urlsafe(32))
    folders = [tool_bin("pulumi"), tool_bin("pulumi-language-python"), paths.CHECKOUT / ".venv/bin"]
    # The engine takes what is on PATH first, so the vendor's plugin is served by leaving the own one out.
    folders += [
        OWN_PLUGINS / name
        for name in ("kubernetes", "openstack")
        if not (VENDOR_PLUGINS / f"resource-{name}-v{version(f'pulumi-{name}')}").is_dir()
    ]
    return {
        "PATH": os.pathsep.join([*map(str, folders), os.environ["PATH"]]),
        "PULUMI_BACKEND_URL": os.environ.get("PULUMI_BACKEND_URL", f"file://{backend}"),
        "PULUMI_CONFIG_PASSPHRASE_FILE": os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE", str(passphrase)),
        "PULUMI_SKIP_UPDATE_CHECK": "1",
        "PYTHONPATH": str(paths.CHECKOUT / "src"),
    }


def fetching(environment: str) -> dict[str, str]:
    """Let the engine fetch a cloud's plugin; for other clouds it would try so too, before each operation, in vain."""
    try:
        fetches = Environment.load(environment).cloud in FETCHED
    except UserError:
        fetches = True
    return {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": str(not fetches).lower()}


def own() -> list[int]:
    """Process ids of the engines that this process has started."""
    children = " ".join(file.read_text() for file in Path("/proc/self/task").glob("*/children"))
    return [pid for pid in map(int, children.split()) if locks.is_engine(pid)]


def wait_for_end(engine: int) -> None:
    """Wait until an engine that was asked to stop has ended; end it if it does not."""
    deadline = time.monotonic() + STOP_SECONDS
    while locks.is_engine(engine) and time.monotonic() < deadline:
        time.sleep(0.2)
    if locks.is_engine(engine):
        os.kill(engine, signal.SIGKILL)
