"""The files of a stored product, however it lies in the store: one document, an archive, an unpacked folder."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from refsys.services.catalogue.xml import Readable, UnreadableError
from refsys.services.common.store import ObjectStore

MEMBERS_LIMIT = 50_000
Rank = Callable[[str], int | None]
"""How good the file of a path is for a purpose, 0 the best; None if it is not wanted."""


@dataclass(frozen=True)
class File:
    """A wanted file, to be read before the next one is asked for; `size` in bytes, None if nothing tells it."""

    rank: int
    path: str
    size: int | None
    source: Readable


class ProductFiles(Protocol):
    """The files of one product; may be looked through several times."""

    def wanted(self, rank: Rank) -> Iterator[File]:
        """The files that are wanted, the best first where all are known beforehand."""
        ...


def checked(path: str) -> str:
    """A path within a product, without `./` before it; raises `UnreadableError` for one that leads out of it."""
    if path.startswith("/") or "\\" in path or ".." in path.split("/") or "\x00" in path:
        raise UnreadableError(f"archive has a member with a path that leads out of it: {path[:120]!a}")
    return path.removeprefix("./")


class Document:
    """A product that is one file: its own metadata document, or a bare data block."""

    def __init__(self, name: str, file: Readable) -> None:
        """Nothing is read yet."""
        self._name = name
        self._file = file

    def wanted(self, rank: Rank) -> Iterator[File]:
        """The file, if it is wanted."""
        if (found := rank(self._name)) is not None:
            yield File(found, self._name, None, self._file)


class Folder:
    """The objects under `<key>/` of a bucket; each path begins with the name of the folder, as in an archive of it."""

    def __init__(self, store: ObjectStore, bucket: str, key: str) -> None:
        """List the folder.

        Raises:
            FileNotFoundError: there is none.
            UnreadableError: it has too many files.
        """
        self._store = store
        self._bucket = bucket
        self._sizes: dict[str, int] = {}
        for each in store.list_folder(bucket, key):
            self._sizes[each.key] = each.size
            if len(self._sizes) > MEMBERS_LIMIT:
                raise UnreadableError(f"folder has over {MEMBERS_LIMIT} files")
        if not self._sizes:
            raise FileNotFoundError(f"s3://{bucket}/{key}")

    @property
    def size(self) -> int:
        """The size of all files together, in bytes."""
        return sum(self._sizes.values())

    def wanted(self, rank: Rank) -> Iterator[File]:
        """The wanted files, the best first."""
        for found, path in sorted((found, path) for path in self._sizes if (found := rank(checked(path))) is not None):
            with self._store.open(self._bucket, path) as source:
                yield File(found, path, self._sizes[path], source)
