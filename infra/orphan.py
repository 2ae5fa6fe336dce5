"""End a provider whose engine was killed, with all that it started; otherwise it would wait for calls for ever."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

CHECK_SECONDS = 1.0


def end_with_engine() -> None:
    """Watch the engine, if this process is the engine's host of dynamic providers."""
    main = sys.modules["__main__"].__spec__
    if main is not None and main.name == "pulumi.dynamic.__main__":
        threading.Thread(target=_watch, args=(_parent(os.getppid()),), daemon=True).start()


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
