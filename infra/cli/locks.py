"""Who holds an environment: this machine's commands, locks of the file backend, and what the engine says of others."""

import fcntl
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from refsys.infra import paths
from refsys.infra.errors import UserError

COMMAND = "REFSYS_COMMAND"
"""Variable that an engine has of the command that started it: its process id."""
_HELD = re.compile(r"created by (?P<user>[^@\s]+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<since>\S+)")


@dataclass(frozen=True)
class Lock:
    """A lock on a stack's state."""

    user: str
    host: str
    pid: int
    since: str
    file: Path | None = None

    @property
    def is_left_behind(self) -> bool:
        """Whether its engine has ended, or was started by a command that has."""
        if self.host != socket.gethostname():
            return False
        if not is_engine(self.pid):
            return True
        command = _variable(self.pid, COMMAND)
        return command is not None and not Path(f"/proc/{command}").exists()


def of_files(environment: str) -> list[Lock]:
    """Locks in the file backend."""
    backend = os.environ["PULUMI_BACKEND_URL"]
    if not backend.startswith("file://"):
        return []
    files = Path(backend.removeprefix("file://")).glob(f".pulumi/locks/**/{environment}/*.json")
    return [_read(file) for file in files]


def told(text: str) -> list[Lock]:
    """The locks that an error of the engine names."""
    return [
        Lock(found["user"], found["host"], int(found["pid"]), found["since"].rstrip(".,;"))
        for found in _HELD.finditer(text)
    ]


def refusal(environment: str, held: list[Lock]) -> UserError:
    """What is told of locks that are not ours to take away."""
    by = "; ".join(f"{lock.user} on {lock.host}, process {lock.pid}, since {lock.since}" for lock in held)
    return UserError(
        f"the state of environment {environment} is locked by {by}",
        fix="wait until that command ends, then run this again; where it is certain that it has ended (its machine is\n"
        f"       gone): ./refsys state unlock {environment}",
    )


def is_engine(pid: int) -> bool:
    """Whether that process is an engine."""
    try:
        return b"pulumi" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return False


@contextmanager
def exclusive(environment: str, *, reading: bool = False) -> Iterator[None]:
    """Hold the environment: only one command changes it at a time, or several read it."""
    home = paths.environment_home(environment)
    home.mkdir(parents=True, exist_ok=True)
    with (home.parent / f".{environment}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if reading else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another command is {'changing' if reading else 'using'} environment {environment}",
                fix="wait until it ends, then run this again",
            ) from None
        yield


def _read(file: Path) -> Lock:
    found = json.loads(file.read_text())
    return Lock(
        str(found.get("username", "?")),
        str(found.get("hostname", socket.gethostname())),
        int(found["pid"]),
        str(found.get("timestamp", "?")),
        file,
    )


def _variable(pid: int, name: str) -> str | None:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    prefix = f"{name}=".encode()
    return next((each.removeprefix(prefix).decode() for each in variables if each.startswith(prefix)), None)
