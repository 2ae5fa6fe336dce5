"""Schema `catalogue`: what searches select by, in columns with indexes; schema `search`: orders to delete."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005_catalogue_metadata"
down_revision = "0004_sessions"

SCHEMA = "catalogue"
TIME = sa.DateTime(timezone=True)
INDEXES = {
    "ix_product_type_start": (["product_type", "content_start"], None),
    "ix_product_type_end": (["product_type", "content_end"], None),
    "ix_product_type_orbit": (["product_type", "orbit_start"], None),
    "ix_product_family_created": (["family", "created"], None),
    "ix_product_datatake_id": (["datatake_id"], "datatake_id is not null"),
    "ix_product_session_id": (["session_id"], "session_id is not null"),
    "ix_product_invalid": (["created"], "state = 'INVALID'"),
}
# Products catalogued before have the values among their attributes.
FILL = """
UPDATE catalogue.product SET
  generated = (found.values ->> 'processingDate')::timestamptz,
  datatake_id = (found.values ->> 'datatakeID')::bigint,
  orbit_start = (found.values ->> 'orbitNumber')::bigint,
  orbit_end = coalesce(found.values ->> 'lastOrbitNumber', found.values ->> 'orbitNumber')::bigint
FROM (
  SELECT id, jsonb_object_agg(each ->> 'name', each -> 'value') AS values
  FROM catalogue.product, jsonb_array_elements(attributes) AS each GROUP BY id
) AS found
WHERE found.id = product.id
"""

# For "valid at" and "covers": of products with a period, since one without would match any.
PERIOD = """
CREATE INDEX ix_product_period ON catalogue.product
USING gist (tstzrange(content_start, content_end, '[]')) WHERE state = 'VALID'
"""


def _columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("generated", TIME),
        sa.Column("timeliness", sa.Text, nullable=False, server_default=""),
        sa.Column("datatake_id", sa.BigInteger),
        sa.Column("orbit_start", sa.BigInteger),
        sa.Column("orbit_end", sa.BigInteger),
        sa.Column("session_id", sa.Text),
        sa.Column("details", JSONB, nullable=False, server_default=sa.text("'{}'")),
    )


def upgrade() -> None:
    """Add the columns, fill them, index them; make the table of orders."""
    for column in _columns():
        op.add_column("product", column, schema=SCHEMA)
    op.execute(FILL)
    for name, (columns, where) in INDEXES.items():
        op.create_index(
            name, "product", columns, schema=SCHEMA, postgresql_where=sa.text(where) if where is not None else None
        )
    op.execute(PERIOD)
    op.execute("CREATE INDEX ix_product_attributes ON catalogue.product USING gin (attributes jsonb_path_ops)")
    op.execute("CREATE SCHEMA IF NOT EXISTS search")
    op.create_table(
        "deletion",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("done", TIME),
        schema="search",
    )
    op.create_index(
        "uq_deletion_open", "deletion", ["name"], unique=True, schema="search", postgresql_where=sa.text("done is null")
    )


def downgrade() -> None:
    """Take both away again."""
    op.execute("DROP SCHEMA search CASCADE")
    for name in (*INDEXES, "ix_product_period", "ix_product_attributes"):
        op.drop_index(name, "product", schema=SCHEMA)
    for column in _columns():
        op.drop_column("product", column.name, schema=SCHEMA)
