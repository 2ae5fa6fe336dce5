"""Tables of the schema `delivery`, and `distribution.deleted_product` (migration 0007)."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Integer, LargeBinary, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from refsys.services.common.database import Base, Geometry

SCHEMA = "delivery"
_MOMENT = DateTime(timezone=True)

# Where notifications are posted to; password and signing secret are encrypted (`secrets.py`).
endpoint = Table(
    "endpoint",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("url", Text, nullable=False),
    Column("username", Text),
    Column("password", LargeBinary),
    Column("secret", LargeBinary, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("next_attempt", _MOMENT, nullable=False),
    Column("last_error", Text),
    schema=SCHEMA,
)

subscription = Table(
    "subscription",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner", Text, nullable=False),
    # Those of the owner that open products, as of his last request.
    Column("roles", ARRAY(Text), nullable=False),
    Column("filter_param", Text, nullable=False),
    Column("stage_order", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_message", Text),
    Column("events", ARRAY(Text), nullable=False),
    Column("type", Text, nullable=False),
    Column("endpoint_id", Uuid),
    Column("submission_date", _MOMENT, nullable=False),
    Column("last_notification_date", _MOMENT),
    schema=SCHEMA,
)

# What happened to a product, written by a trigger in the transaction in which it happened; `value` is the
# product's JSON, made when the event is matched and removed when it expires.
product_event = Table(
    "product_event",
    Base.metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("product_id", Uuid, nullable=False),
    Column("product_name", Text),
    Column("moment", _MOMENT, nullable=False),
    Column("value", JSONB(none_as_null=True)),
    Column("matched", Boolean, nullable=False),
    schema=SCHEMA,
)

# What waits to be acknowledged (pull) or posted (push); gone once that is done.
notification = Table(
    "notification",
    Base.metadata,
    Column("seq", BigInteger, Identity(), primary_key=True),
    Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    Column("subscription_id", Uuid),
    Column("event_id", BigInteger),
    Column("order_id", Uuid, unique=True),
    Column("endpoint_id", Uuid),
    # Of what is neither of a subscription nor of an order of a product: what is posted.
    Column("body", JSONB(none_as_null=True)),
    Column("moment", _MOMENT, nullable=False),
    schema=SCHEMA,
)

product_order = Table(
    "product_order",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("product_id", Uuid, nullable=False),
    Column("product_name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_message", Text, nullable=False),
    Column("order_size", BigInteger, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("recall_id", Uuid),
    Column("endpoint_id", Uuid),
    Column("submission_date", _MOMENT, nullable=False),
    Column("estimated_date", _MOMENT),
    Column("completed_date", _MOMENT),
    Column("eviction_date", _MOMENT),
    schema=SCHEMA,
)

# A product to be brought back from the archive, once for all its orders.
recall = Table(
    "recall",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("product_id", Uuid, nullable=False),
    Column("product_name", Text, nullable=False),
    Column("content_length", BigInteger, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("requested", _MOMENT, nullable=False),
    Column("leased_until", _MOMENT),
    # Where it was asked for: the long-term archive, and the product's Id there.
    Column("station", Text),
    Column("source_id", Text),
    Column("finished", _MOMENT),
    schema=SCHEMA,
)

# The columns are those of `distribution.product` that clients see.
deleted_product = Table(
    "deleted_product",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text(collation="C"), nullable=False),
    Column("content_type", Text, nullable=False),
    Column("content_length", BigInteger, nullable=False),
    Column("origin_date", _MOMENT),
    Column("publication_date", _MOMENT, nullable=False),
    Column("eviction_date", _MOMENT),
    Column("content_start", _MOMENT),
    Column("content_end", _MOMENT),
    Column("checksums", JSONB, nullable=False),
    Column("production_type", Text, nullable=False),
    Column("online", Boolean, nullable=False),
    Column("footprint", Geometry()),
    # Empty for products deleted before migration 0013.
    Column("bucket", Text, nullable=False, server_default=""),
    Column("mission", Text, nullable=False),
    Column("product_type", Text(collation="C")),
    Column("attributes", JSONB, nullable=False),
    # Unique in milliseconds and rising in commit order, as publication dates are.
    Column("deletion_date", _MOMENT, nullable=False, unique=True),
    Column("deletion_cause", Text, nullable=False),
    schema="distribution",
)
