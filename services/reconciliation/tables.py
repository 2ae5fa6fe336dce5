"""Tables of the schema `reconciliation`: runs, what they found, objects that belong to nothing."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from refsys.services.common.database import Base

SCHEMA = "reconciliation"

REQUESTED = "REQUESTED"
RUNNING = "RUNNING"
DONE = "DONE"
FAILED = "FAILED"

Time = DateTime(timezone=True)

run = Table(
    "run",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("requested", Time, nullable=False, server_default=func.now()),
    Column("operator_name", Text, nullable=False, server_default=""),
    Column("repair", Boolean, nullable=False),
    Column("delete_orphans", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("started", Time),
    Column("finished", Time),
    Column("report", JSONB(none_as_null=True)),
    schema=SCHEMA,
)

finding = Table(
    "finding",
    Base.metadata,
    Column("run_id", Uuid, ForeignKey(run.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("action", Text, nullable=False, server_default=""),
    schema=SCHEMA,
)

# The quarantine: objects that no row knows, and since when; nothing serves them.
orphan = Table(
    "orphan",
    Base.metadata,
    Column("bucket", Text, primary_key=True),
    Column("key", Text(collation="C"), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("first_seen", Time, nullable=False),
    Column("last_seen", Time, nullable=False),
    schema=SCHEMA,
)
