"""Tables of the schema `lifecycle`: the life of each product, and the evictions."""

from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, Column, DateTime, Integer, Table, Text, false, func

from refsys.services.common.database import Base

SCHEMA = "lifecycle"

REQUESTED = "REQUESTED"  # nothing has happened yet; can be taken back
UNPUBLISHED = "UNPUBLISHED"
UNCATALOGUED = "UNCATALOGUED"
DONE = "DONE"

POLICY = "POLICY"
OPERATOR = "OPERATOR"

Time = DateTime(timezone=True)


class Storage(StrEnum):
    """Where a product may lie, in both at once as well."""

    UNCOMPRESSED = "uncompressed"
    COMPRESSED = "compressed"

    def column(self, field: str) -> str:
        """The column of a field of this storage: `path` → `path_in_compressed_storage`."""
        return f"{field}_in_{self}_storage"


def _storage_columns(storage: Storage) -> list[Column[Any]]:
    return [
        Column(storage.column("path"), Text),
        Column(storage.column("product_family"), Text),
        Column(storage.column("eviction_date"), Time),
        Column(storage.column("last_insertion"), Time),
        Column(storage.column("persistent"), Boolean, nullable=False, server_default=false()),
    ]


data = Table(
    "data",
    Base.metadata,
    Column("product_name", Text(collation="C"), primary_key=True),
    Column("mission_id", Text, nullable=False),
    Column("satellite_id", Text, nullable=False),
    *(column for storage in Storage for column in _storage_columns(storage)),
    Column("available_in_lta", Boolean, nullable=False, server_default=false()),
    Column("last_modified", Time, nullable=False, server_default=func.now()),
    Column("last_data_request", Time),
    # When the PRIP is next told of changed eviction dates; NULL if it shows them.
    Column("prip_pending", Time),
    schema=SCHEMA,
)

eviction = Table(
    "eviction",
    Base.metadata,
    Column("product_name", Text(collation="C"), primary_key=True),
    Column("storage", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("mission_id", Text, nullable=False),
    Column("satellite_id", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("operator_name", Text, nullable=False, server_default=""),
    # REQUESTED → UNPUBLISHED → UNCATALOGUED → DONE; the reason says why it does not go on.
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("requested", Time, nullable=False),
    Column("retry_at", Time, nullable=False),
    Column("finished", Time),
    schema=SCHEMA,
)
