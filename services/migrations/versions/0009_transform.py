"""Schemas `compression` (jobs) and `routing` (the ledger of transfers)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009_transform"
down_revision = "0008_stac_collections"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make both schemas and their tables."""
    op.execute("CREATE SCHEMA IF NOT EXISTS compression")
    op.create_table(
        "job",
        sa.Column("output_path", sa.Text, primary_key=True),
        sa.Column("source_path", sa.Text, nullable=False),
        sa.Column("source_size", sa.BigInteger, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("message", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("size", sa.BigInteger),
        sa.Column("checksums", JSONB, nullable=False, server_default="[]"),
        sa.Column("first_started", TIME, nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("finished", TIME),
        sa.Column("retry_at", TIME),
        sa.CheckConstraint("state in ('RUNNING', 'WAITING', 'DONE', 'FAILED')", name="state"),
        schema="compression",
    )
    op.execute("CREATE INDEX ix_job_waiting ON compression.job (retry_at) WHERE state = 'WAITING'")
    op.execute("CREATE SCHEMA IF NOT EXISTS routing")
    op.create_table(
        "transfer",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("path", sa.Text(collation="C"), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("modified", TIME, nullable=False),
        sa.Column("hash_algorithm", sa.Text),
        sa.Column("hash", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("seen", TIME, nullable=False),
        sa.Column("started", TIME),
        sa.Column("finished", TIME),
        sa.Column("retry_at", TIME),
        sa.UniqueConstraint("rule", "source", "target", "path", "size", "modified"),
        sa.CheckConstraint("state in ('PENDING', 'RUNNING', 'DONE', 'FAILED')", name="state"),
        schema="routing",
    )
    op.execute(
        "CREATE INDEX ix_transfer_due ON routing.transfer (rule, retry_at) WHERE state in ('PENDING', 'RUNNING')"
    )
    op.execute("CREATE INDEX ix_transfer_state ON routing.transfer (state, id)")


def downgrade() -> None:
    """Remove both schemas with everything in them."""
    op.execute("DROP SCHEMA routing CASCADE")
    op.execute("DROP SCHEMA compression CASCADE")
