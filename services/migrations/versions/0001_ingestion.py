"""Schema `ingestion`: cursors, inbox, stored files, quarantine."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001_ingestion"
down_revision = None

SCHEMA = "ingestion"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    op.create_table(
        "station_cursor",
        sa.Column("station", sa.Text, primary_key=True),
        sa.Column("publication_date", TIME, nullable=False),
        sa.Column("updated", TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    op.create_table(
        "inbox_entry",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("product_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("checksums", JSONB, nullable=False),
        sa.Column("publication_date", TIME, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("mission", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("retry_at", TIME),
        sa.Column("seen", TIME, nullable=False),
        sa.Column("updated", TIME, nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("station", "product_id", name="uq_inbox_entry_station_product_id"),
        sa.CheckConstraint("state in ('QUEUED', 'RETRY', 'STORED', 'QUARANTINED')", name=op.f("ck_inbox_entry_state")),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_inbox_entry_retry",
        "inbox_entry",
        ["station", "retry_at"],
        schema=SCHEMA,
        postgresql_where=sa.text("state = 'RETRY'"),
    )
    op.create_index("ix_inbox_entry_name", "inbox_entry", ["name"], schema=SCHEMA)
    op.create_table(
        "stored_file",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("checksums", JSONB, nullable=False),
        sa.Column("storage_path", sa.Text, nullable=False),
        sa.Column("family", sa.Text, nullable=False),
        sa.Column("mission", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("publication_date", TIME, nullable=False),
        sa.Column("seen", TIME, nullable=False),
        sa.Column("stored", TIME, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("product_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_seen", TIME, nullable=False),
        sa.Column("last_seen", TIME, nullable=False),
        sa.UniqueConstraint("station", "product_id", name="uq_quarantine_station_product_id"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Remove the schema with all it holds."""
    op.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
