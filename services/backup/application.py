"""The `application-backup` process: a hosted application's folders go to the object store, as one archive."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from refsys.services.common import logs
from refsys.services.common.families import BACKUPS_BUCKET
from refsys.services.common.messages import utc_now
from refsys.services.common.settings import S3Settings, load
from refsys.services.common.store import ObjectStore
from refsys.services.compression.archives import Member, pack, size_limit
from refsys.services.compression.rules import Format

CHUNK_BYTES = 2**20


class BackupSettings(BaseSettings):
    """Whose folders they are, which, and how long copies are kept."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_BACKUP_")

    application: str = Field(min_length=1)
    folders: dict[str, Path] = Field(min_length=1, description="name in the archive → folder")
    days: int = Field(default=14, ge=1)


def main() -> None:
    """Make one copy, then remove those that are old."""
    logs.configure("application-backup")
    log = logs.get_logger()
    settings = load(BackupSettings)
    store = ObjectStore(load(S3Settings))
    members = sorted(found(settings.folders), key=lambda member: member.path)
    now = utc_now()
    folder = f"app-{settings.application}"
    key = f"{folder}/{now:%Y%m%dT%H%M%SZ}.tar.gz"
    store.put(BACKUPS_BUCKET, key, pack(Format.TGZ, members), size_limit(members))
    log.info("application is saved", key=key, files=len(members))
    for copy in list(store.list_folder(BACKUPS_BUCKET, folder)):
        if copy.modified < now - timedelta(days=settings.days):
            store.delete(BACKUPS_BUCKET, copy.key)


def found(folders: dict[str, Path]) -> Iterator[Member]:
    """Yield the files of all folders, as large as they are now; what is no plain file is left out.

    Raises:
        FileNotFoundError: a folder is not there, which then is no empty one.
    """
    for name, folder in folders.items():
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not there; it should be saved as {name}")
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                size = file.stat().st_size
                yield Member(f"{name}/{file.relative_to(folder)}", size, _Reader(file, size))


class _Reader:
    """Reads a file as far as it was listed: it may grow meanwhile."""

    def __init__(self, file: Path, size: int) -> None:
        self._file, self._size = file, size

    def __call__(self) -> Iterator[bytes]:
        left = self._size
        with self._file.open("rb") as opened:
            while left and (chunk := opened.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk
