"""End a provider whose engine was killed, with all that it started; otherwise it would wait for calls for ever."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from refsys.infra import paths

CHECK_SECONDS = 1.0


def end_with_engine() -> None:
    """Watch the engine, if this process is the engine's host of dynamic providers."""
    main = sys.modules["__main__"].__spec__
    if main is not None and main.name == "pulumi.dynamic.__main__":
        threading.Thread(target=_watch, args=(_parent(os.getppid()),), daemon=True).start()


def end_language_hosts(project: Path = paths.CHECKOUT) -> None:
    """End language hosts of that project whose engine was killed; nothing else would end them."""
    root = f"-root={project}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            program, *arguments = (folder / "cmdline").read_bytes().split(b"\0")
            engine = Path(f"/proc/{_parent(int(folder.name))}/comm").read_text().strip()
        except OSError:
            continue
        if program.endswith(b"/pulumi-language-python") and root in arguments and engine != "pulumi":
            os.kill(int(folder.name), signal.SIGKILL)


def _watch(engine: int) -> None:
    # The engine starts a shell in a process group of its own, the shell starts us. Nodes have left that group.
    # An engine that was killed before this process looked for it is not the shell's parent any more.
    while engine > 1 and _parent(os.getppid()) == engine:
        time.sleep(CHECK_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _parent(pid: int) -> int:
    """Parent of a process; 0 where it's gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
