"""The tools an environment needs, pinned in `lock.toml`, built or downloaded once and kept by version."""

from refsys.infra.toolchain.install import Source, ensure_tool, installed, tool_bin
from refsys.infra.toolchain.lock import Tool, load_lock

__all__ = ["Source", "Tool", "ensure_tool", "installed", "load_lock", "tool_bin"]
