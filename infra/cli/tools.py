"""Toolchain on the command line: build in the background while the environment comes up, list, print variables."""

import os
import shutil
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from rich.table import Table

from refsys.infra.cli.steps import Steps
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.toolchain import Source, Tool, ensure_tool, installed, load_lock
from refsys.infra.toolchain.gobuild import go_caches
from refsys.infra.toolchain.install import tool_folder

ENGINE = ("pulumi", "pulumi-language-python")
BUILDS_AT_ONCE = 2
"""One compiles while the other links, which uses one core only."""


def built(environment: Environment | None = None) -> list[Tool]:
    """Tools that `environment`, else every one, has built or downloaded, in building order; not Debian's packages."""
    asked = {"thanos"} if environment and environment.metrics_history else set()
    return [tool for tool in load_lock().values() if tool.modules and (not tool.optional or tool.name in asked)]


def named(names: Iterable[str]) -> list[Tool]:
    """The tools of those names.

    Raises:
        UserError: there is none of a name that is built.
    """
    known = {tool.name: tool for tool in load_lock().values() if tool.modules}
    if unknown := sorted(set(names) - set(known)):
        raise UserError(f"no tool is called {unknown[0]!r}", fix=f"take one of: {', '.join(sorted(known))}")
    return [known[name] for name in names]


def estimate(tools: Iterable[Tool]) -> int:
    """Seconds that building the missing ones takes on this machine; the lock's figures hold for two cores."""
    missing = sum(tool.seconds for tool in tools if not installed(tool))
    return round(missing * 2 / min(os.cpu_count() or 2, 8))


class Building:
    """Builds the missing tools in the background, those that the engine needs first."""

    def __init__(self, steps: Steps, source: Source | None = None, wanted: Iterable[Tool] | None = None) -> None:
        """Start building those of `wanted`, by default the tools of every environment."""
        self.steps = steps
        self.source = source
        self.failed: UserError | None = None
        self._pool = ThreadPoolExecutor(BUILDS_AT_ONCE)
        self._engine = threading.Semaphore(0)
        missing = [tool for tool in (built() if wanted is None else wanted) if not installed(tool)]
        self._futures = {tool.name: self._pool.submit(self._build, tool) for tool in missing}

    def engine_ready(self) -> None:
        """Wait until the engine's tools are there."""
        self._wait([name for name in ENGINE if name in self._futures])

    def finish(self) -> None:
        """Wait for all tools, then drop the compiler's caches."""
        self._wait(list(self._futures))
        self._pool.shutdown()
        drop_caches()

    def _wait(self, names: list[str]) -> None:
        for name in names:
            self._futures[name].result()

    def _build(self, tool: Tool) -> None:
        self.steps.begin(tool.name, f"build {tool.name} {tool.version}")
        try:
            ensure_tool(tool.name, self.source, self._report)
        except BaseException:
            self.steps.end(tool.name, ok=False)
            raise
        self.steps.end(tool.name)

    def _report(self, name: str, done: int, total: int) -> None:
        self.steps.note(name, progress(done, total))


def drop_caches() -> None:
    """Remove the compiler's caches, which are large, where every tool of environments is there."""
    if all(installed(tool) for tool in built()):
        shutil.rmtree(go_caches(), ignore_errors=True)


def progress(done: int, total: int) -> str:
    """How far a build is."""
    width = 20 * done // max(total, 1)
    return f"{'━' * width}{'╌' * (20 - width)} {done}/{total} packages"


def table() -> Table:
    """Every tool with its version and whether it is there."""
    shown = Table("tool", "version", "from", "state", "build time")
    for tool in load_lock().values():
        if tool.debian:
            shown.add_row(tool.name, tool.version, "Debian", "installed by the roles", "")
        else:
            missing = "built when asked for" if tool.optional else "missing"
            state = "ready" if installed(tool) else missing
            source = "build or download" if tool.download else "build"
            shown.add_row(tool.name, tool.version, source, state, f"{tool.seconds} s")
    return shown


def remove_old() -> list[str]:
    """Remove tools of versions that the lock no longer names."""
    pinned = [tool for tool in load_lock().values() if tool.modules]
    wanted = {tool_folder(tool) for tool in pinned}
    old = [folder for tool in pinned for folder in tool_folder(tool).parent.glob("[!.]*") if folder not in wanted]
    for folder in old:
        shutil.rmtree(folder)
    return [f"{folder.parent.name} {folder.name}" for folder in old]
