"""Where tuspyserver keeps uploads: bytes in files of the volume, everything else in PostgreSQL.

A file only grows, by the bytes of the client in their order: its size is the offset. So there is nothing beside it
that a kill could leave behind the truth, and a resumed upload continues with the first byte that is not there.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from email.utils import format_datetime
from io import FileIO
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import HTTPException
from sqlalchemy import RowMapping
from tuspyserver.storage import TusStorage

from refsys.services.common.logs import get_logger
from refsys.services.ingestor.tables import RECEIVING, REFUSED
from refsys.services.ingestor.uploads import Uploads

log = get_logger()


class Volume(TusStorage):
    """The uploads of one process; `written` is called after each request that brought bytes."""

    def __init__(self, uploads: Uploads, written: Callable[[], None]) -> None:
        """Nothing is written before the first upload."""
        self._uploads = uploads
        self._written = written
        self._writing: dict[str, FileIO] = {}

    def path(self, uid: str) -> Path:
        """The file of an upload that exists."""
        return self._uploads.settings.folder / uid

    def received(self, uid: str) -> int:
        """How many bytes of an upload are there."""
        try:
            return self.path(uid).stat().st_size
        except FileNotFoundError:
            return 0

    def is_writing(self, uid: str) -> bool:
        """Whether bytes of an upload are coming in now."""
        return uid in self._writing

    async def create(self, uid: str) -> None:
        """An upload is made by its row, its file by its first byte."""

    async def exists(self, uid: str) -> bool:
        """Whether there is such an upload that is not over."""
        return await self._row(uid) is not None

    async def size(self, uid: str) -> int:
        """The bytes that are there."""
        row = await self._row(uid)
        return self._offset(row) if row else 0

    async def append(self, uid: str, chunk: bytes) -> None:
        """Write what comes next."""
        with _room():
            await asyncio.to_thread(_write, self._writing[uid], chunk)

    async def flush(self, uid: str) -> None:
        """Have the bytes on the disk."""
        with _room():
            await asyncio.to_thread(os.fsync, self._writing[uid].fileno())

    async def finalize(self, uid: str) -> None:
        """Nothing is left to be done when the last byte is there."""

    async def read(self, uid: str) -> bytes | None:
        """No route asks for the bytes."""
        raise NotImplementedError

    async def delete(self, uid: str) -> None:
        """Withdraw an upload."""
        if row := await self._row(uid):
            identifier: UUID = row["id"]
            await asyncio.to_thread(self._withdraw, identifier)

    async def read_info(self, uid: str) -> dict[str, Any] | None:
        """The upload as tus knows it."""
        if (row := await self._row(uid)) is None:
            return None
        return {
            "metadata": {"filename": row["name"], "filetype": "application/octet-stream"},
            "size": row["size"],
            "offset": self._offset(row),
            "created_at": row["created"].isoformat(),
            "expires": _http_date(row["expires"]),
        }

    async def write_info(self, uid: str, data: dict[str, Any]) -> None:
        """Nothing of it changes: the row was made before, and the offset is the size of the file."""

    async def list_uids(self) -> list[str]:
        """No route asks for all."""
        raise NotImplementedError

    def location(self, uid: str) -> str:
        """The path of the file."""
        return str(self.path(uid))

    @asynccontextmanager
    async def lock(self, uid: str) -> AsyncIterator[None]:  # type: ignore[override]  # it is annotated wrongly there
        """Have the file open for one request; another at the same time is answered with 423."""
        if uid in self._writing:
            raise HTTPException(423, "bytes of this upload are still coming in by another request: try again")
        file = self._writing[uid] = FileIO(self.path(uid), "ab")
        try:
            yield
        finally:
            del self._writing[uid]
            file.close()
            self._written()

    def _withdraw(self, identifier: UUID) -> None:
        if self._uploads.move(identifier, RECEIVING, REFUSED, "withdrawn by its uploader"):
            self.path(str(identifier)).unlink(missing_ok=True)

    async def _row(self, uid: str) -> RowMapping | None:
        row = await asyncio.to_thread(self._uploads.find, uid)
        return row if row and row["state"] != REFUSED else None

    def _offset(self, row: RowMapping) -> int:
        size: int = row["size"]
        return self.received(str(row["id"])) if row["state"] == RECEIVING else size


def _write(file: FileIO, chunk: bytes) -> None:
    left = memoryview(chunk)
    while left:
        left = left[file.write(left) :]


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        log.error("cannot write to the volume of uploads", reason=str(error))
        raise HTTPException(507, "the bytes could not be stored: resume the upload later") from error


def _http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)
