"""The tables of the PRIP: `distribution.product`, one row a published product, laid out for queries; quotas."""

from sqlalchemy import BigInteger, Boolean, Column, Computed, Date, DateTime, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from refsys.services.common.database import Base, Geometry

SCHEMA = "distribution"
QUOTA_SCHEMA = "quota"

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
    # [{image, contentType, size, bucket, key}]
    Column("quicklooks", JSONB, nullable=False, server_default="[]"),
    # The STAC collection (migration 0008).
    Column(
        "collection", Text(collation="C"), Computed("distribution.collection_of(mission, product_type)"), nullable=False
    ),
    schema=SCHEMA,
)

# One row; its number changes with each change or removal of products (migration 0006).
revision = Table(
    "revision",
    Base.metadata,
    Column("one", Boolean, primary_key=True),
    Column("number", BigInteger, nullable=False),
    schema=SCHEMA,
)

# What users have used, for their quotas.
minute = Table(
    "minute",
    Base.metadata,
    Column("user_name", Text, primary_key=True),
    Column("start", DateTime(timezone=True), nullable=False),
    Column("requests", Integer, nullable=False),
    schema=QUOTA_SCHEMA,
)
download = Table(
    "download",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_name", Text, nullable=False),
    Column("remaining_bytes", BigInteger, nullable=False),
    # A process that died renews no more.
    Column("expires", DateTime(timezone=True), nullable=False),
    schema=QUOTA_SCHEMA,
)
month = Table(
    "month",
    Base.metadata,
    Column("user_name", Text, primary_key=True),
    Column("start", Date, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    schema=QUOTA_SCHEMA,
)
