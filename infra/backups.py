"""Copies of a stack's state: compressed, with checksums, the newest kept; what is secret stays encrypted in them."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from refsys.infra import paths
from refsys.infra.errors import UserError

KEPT = 20
_NAME = re.compile(r"(?P<moment>\d{8}T\d{6}\.\d{6}Z)-(?P<reason>[a-z]+)\.json\.gz")
_MOMENT = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class Backup:
    """One copy."""

    file: Path
    moment: datetime
    reason: str
    """The command before which it was made; `hand` where somebody asked for it."""

    @property
    def name(self) -> str:
        """By which it is restored."""
        return self.file.name.removesuffix(".json.gz")

    @property
    def checksum_file(self) -> Path:
        """As `sha256sum` writes it."""
        return self.file.with_name(f"{self.file.name}.sha256")

    def read(self) -> str:
        """The state.

        Raises:
            UserError: the copy is not as it was made.
        """
        data = self.file.read_bytes()
        kept = self.checksum_file.read_text().split()[0] if self.checksum_file.exists() else "(no checksum)"
        if hashlib.sha256(data).hexdigest() != kept:
            raise UserError(
                f"{self.file} is damaged: its SHA-256 is not {kept}",
                fix="take another one of ./refsys state list, or the file from a copy of that folder",
            )
        return gzip.decompress(data).decode()


def folder_of(environment: str) -> Path:
    """Where the environment's copies are, beside state and passphrase."""
    return paths.home() / "pulumi" / "backups" / environment


def of(environment: str) -> list[Backup]:
    """The environment's copies, the newest first."""
    return sorted(_found(environment), key=lambda each: each.file.name, reverse=True)


def named(environment: str, name: str) -> Backup:
    """The copy of that name.

    Raises:
        UserError: there is none.
    """
    for backup in of(environment):
        if backup.name == name:
            return backup
    raise UserError(f"environment {environment} has no backup {name!r}", fix=f"./refsys state list {environment}")


def keep(environment: str, state: str, reason: str, now: datetime | None = None) -> Backup | None:
    """Keep a copy of the state, unless it holds nothing or the newest copy says the same."""
    if not _resources(state):
        return None
    if _is_known(environment, state):
        return None
    moment = now or datetime.now(UTC)
    file = folder_of(environment) / f"{moment.strftime(_MOMENT)}-{reason}.json.gz"
    made = Backup(file, moment, reason)
    data = gzip.compress(state.encode(), mtime=0)
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.write_private(made.checksum_file, f"{hashlib.sha256(data).hexdigest()}  {file.name}\n")
    _write(file, data)
    for old in of(environment)[KEPT:]:
        old.file.unlink()
        old.checksum_file.unlink(missing_ok=True)
    return made


def _is_known(environment: str, state: str) -> bool:
    """Whether the newest copy says the same; a damaged one says nothing."""
    try:
        return any(_resources(newest.read()) == _resources(state) for newest in of(environment)[:1])
    except UserError:
        return False


def _found(environment: str) -> Iterator[Backup]:
    for file in folder_of(environment).glob("*.json.gz"):
        if match := _NAME.fullmatch(file.name):
            moment = datetime.strptime(match["moment"], _MOMENT).replace(tzinfo=UTC)
            yield Backup(file, moment, match["reason"])


def _resources(state: str) -> Any:
    """What the state is about: not when and by which engine it was written."""
    deployment = json.loads(state).get("deployment") or {}
    return [
        {key: value for key, value in resource.items() if key != "modified"}
        for resource in deployment.get("resources") or []
        if resource.get("type") != "pulumi:pulumi:Stack"
    ] + list(deployment.get("pending_operations") or [])


def _write(file: Path, data: bytes) -> None:
    """Put the file there whole or not at all, for its owner alone."""
    new = file.with_name(f".{file.name}")
    new.touch(mode=0o600)
    new.write_bytes(data)
    new.rename(file)
