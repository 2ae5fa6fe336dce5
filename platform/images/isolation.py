"""Run programs on an image's file tree without a network and without traces on the machine."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from refsys.infra.errors import UserError
from refsys.platform.images.store import EPOCH

SCRIPT = Path(__file__).resolve().parent / "isolation.sh"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "SOURCE_DATE_EPOCH": str(EPOCH),
    "PYTHONHASHSEED": "0",
    "HOME": "/root",
    "TZ": "UTC",
}


def run_on(root: Path, command: list[str], env: Mapping[str, str] | None = None) -> str:
    """Run a program of this machine on the tree, in private mount, process and network namespaces."""
    isolated = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--net"]
    return run([*isolated, str(SCRIPT), str(root), *command], ENVIRONMENT | dict(env or {}))


def run_in(root: Path, command: list[str], env: Mapping[str, str] | None = None) -> str:
    """Run a program of the tree inside it, as its root."""
    return run_on(root, ["chroot", str(root), *command], env)


def run(command: list[str], env: Mapping[str, str] | None = None, *, cwd: Path | None = None) -> str:
    """Run a program and return its output; on failure raise UserError with the end of what it said."""
    try:
        done = subprocess.run(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise UserError(f"{command[0]} is not installed", fix=f"apt-get install {command[0]}") from error
    if done.returncode:
        tail = "\n".join("    " + line for line in (done.stdout + done.stderr).splitlines()[-12:])
        raise UserError(
            f"{' '.join(command)[:300]}\nended with {done.returncode}:\n{tail}",
            fix="mend what the last lines name (network, disk space, package names), then run it again",
        )
    return done.stdout
