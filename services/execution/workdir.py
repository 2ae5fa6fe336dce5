"""Keeps the work folder of a job that failed, as an archive in the object store, where its inputs are anyway."""

import stat
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path

from refsys.services.common.ahead import made_ahead
from refsys.services.common.families import FAILED_WORKDIR_BUCKET, storage_path_in
from refsys.services.common.store import ObjectStore
from refsys.services.execution.patience import patiently
from refsys.services.production.order import Order

CHUNK_OCTETS = 2**20
_END = b"\0" * 2 * tarfile.BLOCKSIZE


def keep(store: ObjectStore, order: Order, work: Path) -> str:
    """Store the folder; returns where."""
    key = f"{order.chain}/{order.job_id}-{order.attempt}.tar"
    inputs = {given.name for given in order.inputs}

    def put() -> None:
        with made_ahead(archive(work, inputs)) as chunks:
            store.put(FAILED_WORKDIR_BUCKET, key, chunks, None)

    patiently(put)
    return storage_path_in(FAILED_WORKDIR_BUCKET, key)


def archive(folder: Path, without: Collection[str]) -> Iterator[bytes]:
    """Yield a folder as a tar archive, without these of its entries; links are kept as links."""
    waiting = sorted((path for path in folder.iterdir() if path.name not in without), reverse=True)
    while waiting:
        path = waiting.pop()
        status = path.lstat()
        entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
        entry.mtime, entry.mode = int(status.st_mtime), stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            entry.type = tarfile.DIRTYPE
            yield entry.tobuf(tarfile.PAX_FORMAT)
            waiting += sorted(path.iterdir(), reverse=True)
        elif stat.S_ISLNK(status.st_mode):
            entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
            yield entry.tobuf(tarfile.PAX_FORMAT)
        elif stat.S_ISREG(status.st_mode):
            entry.size = status.st_size
            yield entry.tobuf(tarfile.PAX_FORMAT)
            yield from _content(path, status.st_size)
    yield _END


def _content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, CHUNK_OCTETS))):
            left -= len(chunk)
            yield chunk
    yield b"\0" * (left + -size % tarfile.BLOCKSIZE)
