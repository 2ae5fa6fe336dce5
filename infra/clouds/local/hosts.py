"""The environment's names in this machine's /etc/hosts, as one marked block."""

import fcntl
import re
from collections.abc import Mapping
from pathlib import Path

FILE = Path("/etc/hosts")


def write(environment: str, names: Mapping[str, str]) -> None:
    """Put the block with `names` (name → address) in place of an older one."""
    lines = [f"{address} {name}" for name, address in sorted(names.items())]
    _replace(environment, "\n".join([_begin(environment), *lines, _end(environment), ""]))


def read(environment: str) -> dict[str, str]:
    """Names of the environment's block."""
    match = _pattern(environment).search(FILE.read_text())
    lines = match.group(0).splitlines()[1:-1] if match else []
    return {name: address for address, name in (line.split() for line in lines)}


def remove(environment: str) -> None:
    """Take the block out."""
    _replace(environment, "")


def _replace(environment: str, block: str) -> None:
    with FILE.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        text = _pattern(environment).sub("", file.read())
        text += "\n" if text and not text.endswith("\n") else ""
        file.seek(0)
        # Written in place: /etc/hosts may be a mount of its own, which can't be renamed over.
        file.write(text + block)
        file.truncate()


def _pattern(environment: str) -> re.Pattern[str]:
    return re.compile(f"^{re.escape(_begin(environment))}\n.*?^{re.escape(_end(environment))}\n", re.M | re.S)


def _begin(environment: str) -> str:
    return f"# begin refsys {environment}"


def _end(environment: str) -> str:
    return f"# end refsys {environment}"
