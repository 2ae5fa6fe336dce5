"""The table `search.deletion`: orders to delete a product, kept as a record when done."""

from sqlalchemy import Column, DateTime, Index, Table, Text, Uuid, func, text

from refsys.services.common.database import Base

SCHEMA = "search"

deletion = Table(
    "deletion",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("done", DateTime(timezone=True)),
    Index("uq_deletion_open", "name", unique=True, postgresql_where=text("done is null")),
    schema=SCHEMA,
)
