"""Fetch a vendor's published tool and check it against the lock."""

import hashlib
import shutil
import tarfile
import tempfile
from pathlib import Path

import httpx

from refsys.infra.errors import UserError
from refsys.infra.toolchain.lock import Download, Tool


class UnreachableError(Exception):
    """The vendor's site can't be reached from this machine."""


def fetch(tool: Tool, target: Path) -> None:
    """Download every file of the tool, verify its sha256, and put its programs under `target`."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        for number, item in enumerate(tool.download):
            archive = Path(folder) / str(number)
            _get(tool, item, archive)
            _place(item, archive, target)


def _get(tool: Tool, item: Download, archive: Path) -> None:
    sha = hashlib.sha256()
    try:
        with (
            archive.open("wb") as file,
            httpx.stream("GET", item.url, follow_redirects=True, timeout=20) as response,
        ):
            response.raise_for_status()
            for chunk in response.iter_bytes():
                sha.update(chunk)
                file.write(chunk)
    except httpx.HTTPError as error:
        raise UnreachableError(f"{item.url} can't be downloaded: {error}") from error
    if sha.hexdigest() != item.sha256:
        raise UserError(
            f"{item.url} has sha256 {sha.hexdigest()}, the lock says {item.sha256}: {tool.name} is not installed",
            fix="the file was changed or damaged; build the tool instead (--source build)",
        )


def _place(item: Download, archive: Path, target: Path) -> None:
    for member, place in item.unpack.items():
        destination = target / place
        destination.parent.mkdir(parents=True, exist_ok=True)
        if member:
            with tarfile.open(archive) as tar, destination.open("wb") as file:
                source = tar.extractfile(member)
                if source is None:
                    raise UserError(f"{item.url} holds no file {member}", fix="correct infra/toolchain/lock.toml")
                shutil.copyfileobj(source, file)
        else:
            shutil.copyfile(archive, destination)
        destination.chmod(0o755)
