"""The table `distribution.product`: one row a published product, laid out for queries."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from refsys.services.common.database import Base, Geometry

SCHEMA = "distribution"

# Attributes with an expression index of their own (migration 0003), by the type of their value.
INDEXED_NUMBERS = frozenset({"orbitNumber", "relativeOrbitNumber"})
INDEXED_TEXTS = frozenset(
    {
        "datatakeID",
        "tileId",
        "datastripId",
        "productGroupId",
        "beginningDateTime",
        "endingDateTime",
        "processingDate",
    }
)


product = Table(
    "product",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    # Compared byte by byte, so that one index serves equality, prefixes and order.
    Column("name", Text(collation="C"), nullable=False, unique=True),
    Column("content_type", Text, nullable=False),
    Column("content_length", BigInteger, nullable=False),
    Column("origin_date", DateTime(timezone=True)),
    # Unique in milliseconds and rising in commit order: the cursor of every client.
    Column("publication_date", DateTime(timezone=True), nullable=False, unique=True),
    Column("eviction_date", DateTime(timezone=True)),
    Column("content_start", DateTime(timezone=True)),
    Column("content_end", DateTime(timezone=True)),
    Column("checksums", JSONB, nullable=False),
    Column("production_type", Text, nullable=False),
    Column("online", Boolean, nullable=False),
    Column("footprint", Geometry()),
    Column("bucket", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("mission", Text, nullable=False),
    Column("product_type", Text(collation="C")),
    # {name: {"type": …, "value": …}}; dates as UTC text of fixed width, so that text order is time order.
    Column("attributes", JSONB, nullable=False),
    Column("trace", JSONB, nullable=False),
    schema=SCHEMA,
)
