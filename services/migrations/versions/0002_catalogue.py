"""Schema `catalogue`: the products and their metadata."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from refsys.services.common.database import Geometry

revision = "0002_catalogue"
down_revision = "0001_ingestion"

SCHEMA = "catalogue"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table. PostGIS must be there, or the role must be allowed to make the extension."""
    op.execute("CREATE EXTENSION IF NOT EXISTS postgis")
    op.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    op.create_table(
        "product",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("mission", sa.Text, nullable=False),
        sa.Column("satellite", sa.Text, nullable=False),
        sa.Column("product_type", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("checksums", JSONB, nullable=False),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("content_start", TIME),
        sa.Column("content_end", TIME),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("footprint", Geometry),
        sa.Column("trace", JSONB, nullable=False),
        sa.Column("additional_fields", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("created", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("modified", TIME, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("state in ('VALID', 'INVALID')", name=op.f("ck_product_state")),
        sa.CheckConstraint(
            "state = 'INVALID' or (content_start is not null and content_end is not null)",
            name=op.f("ck_product_period"),
        ),
        schema=SCHEMA,
    )
    op.create_index("ix_product_mission_period", "product", ["mission", "content_start", "content_end"], schema=SCHEMA)
    op.create_index("ix_product_footprint", "product", ["footprint"], schema=SCHEMA, postgresql_using="gist")


def downgrade() -> None:
    """Remove the schema with all it holds; the extension stays, others may use it."""
    op.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
