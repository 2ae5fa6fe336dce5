"""Files in the object store: what is known of them, and whether an offered file is the same."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.messages import Checksum
from refsys.services.ingestion.tables import StoredFile

FIND = select(StoredFile.__table__).where(StoredFile.storage_path == bindparam("path"))
ADD = insert(StoredFile).returning(*StoredFile.__table__.columns)


def find(connection: Connection, path: str) -> RowMapping | None:
    """What is stored at a place."""
    return connection.execute(FIND, {"path": path}).mappings().one_or_none()


def add(connection: Connection, values: Mapping[str, Any]) -> RowMapping:
    """Record a file that was stored under the lock of its place."""
    return connection.execute(ADD, dict(values)).mappings().one()


def checksums_of(row: RowMapping) -> list[Checksum]:
    """The checksums of a stored file."""
    return [Checksum.model_validate(item) for item in row["checksums"]]


def difference(size: int | None, announced: Sequence[Checksum], real_size: int, real: Iterable[Checksum]) -> str | None:
    """Why an announced file is not the real one; None if nothing speaks against it."""
    if size is not None and size != real_size:
        return f"size {real_size} bytes, announced {size}"
    values = {item.algorithm: item.value.lower() for item in real}
    for item in announced:
        value = values.get(item.algorithm)
        if value is not None and value != item.value.lower():
            return f"{item.algorithm} {value}, announced {item.value.lower()}"
    return None


def comparable(announced: Sequence[Checksum], real: Iterable[Checksum]) -> bool:
    """Whether both sides have a checksum in the same algorithm."""
    return bool({item.algorithm for item in announced} & {item.algorithm for item in real})
