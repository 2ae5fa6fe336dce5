"""Where the distribution keeps things on the operator's machine."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refsys.infra.errors import UserError

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


def file_of_running(environment: str, name: str) -> Path:
    """A file that `up` leaves in an environment's folder.

    Raises:
        UserError: the environment is not up.
    """
    file = environment_home(environment) / name
    if not file.exists():
        raise UserError(f"environment {environment} is not up", fix=f"./refsys up {environment}")
    return file


def write_private(file: Path, text: str) -> None:
    """Put a file that only its owner may read in place of an older one, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.", delete=False) as new:
        new.write(text)
    Path(new.name).rename(file)


@contextmanager
def in_memory(name: str, text: str = "") -> Iterator[Path]:
    """A file of a secret: on no disk, and gone with this process, however it ends; others reach it by the path."""
    with os.fdopen(os.memfd_create(name), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        yield Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
