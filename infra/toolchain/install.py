"""Install pinned tools into the cache, once per version, whoever asks first."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from refsys.infra import paths
from refsys.infra.errors import UserError
from refsys.infra.toolchain import download
from refsys.infra.toolchain.gobuild import GoBuild
from refsys.infra.toolchain.lock import Tool, load_lock

Report = Callable[[str, int, int], None]
"""Called with a tool's name, the packages compiled so far and their total."""


class Source(StrEnum):
    """Where tools come from."""

    AUTO = "auto"
    BUILD = "build"
    DOWNLOAD = "download"


def tools_folder() -> Path:
    """Folder of all installed tools."""
    return paths.cache() / "tools"


def tool_folder(tool: Tool) -> Path:
    """Folder of one installed tool; its programs are under `bin`."""
    return tools_folder() / tool.name / f"{tool.version}-{tool.digest}"


def installed(tool: Tool) -> bool:
    """Whether the tool stands complete in the cache."""
    return tool_folder(tool).is_dir()


def ensure_tool(
    name: str, source: Source | None = None, report: Report = lambda *_: None, log: Path | None = None
) -> Path:
    """Return the tool's folder; build or download it first where needed.

    Processes that ask for the same tool at the same time wait for the first one. `source` defaults to
    the variable `REFSYS_TOOLS_SOURCE`, then to `auto`.
    """
    tool = load_lock().get(name)
    if tool is None or not tool.modules:
        known = ", ".join(sorted(t.name for t in load_lock().values() if t.modules))
        raise UserError(f"no tool is called {name!r}", fix=f"take one of: {known}")
    chosen = source or Source(os.environ.get("REFSYS_TOOLS_SOURCE", Source.AUTO))
    folder = tool_folder(tool)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(folder.parent / f".{folder.name}.lock"):
        if not folder.is_dir():
            staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                _make(tool, chosen, staging, report, log or tools_folder() / f"{name}.log")
                staging.chmod(0o755)
                staging.rename(folder)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return folder


def tool_bin(name: str) -> Path:
    """Return the folder of the tool's programs, made first where needed."""
    return ensure_tool(name) / "bin"


def _make(tool: Tool, source: Source, staging: Path, report: Report, log: Path) -> None:
    if source is not Source.BUILD and tool.download:
        try:
            return download.fetch(tool, staging)
        except download.UnreachableError as error:
            if source is Source.DOWNLOAD:
                raise UserError(str(error), fix="build it instead: --source build") from error
    elif source is Source.DOWNLOAD:
        raise UserError(
            f"the lock file has no download for {tool.name} {tool.version}",
            fix="build it instead (--source build), or add url and sha256 to infra/toolchain/lock.toml",
        )
    return GoBuild(tool, staging, log).run(report)


@contextmanager
def _exclusive(lock: Path) -> Iterator[None]:
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
