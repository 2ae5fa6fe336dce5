"""Schema `ingestor`: uploads of auxiliary files."""

import sqlalchemy as sa
from alembic import op

revision = "0012_ingestor"
down_revision = "0011_lifecycle"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
OPEN = "state in ('RECEIVING', 'CHECKING', 'SCANNING')"


def upgrade() -> None:
    """Make the schema and its table."""
    op.execute("CREATE SCHEMA IF NOT EXISTS ingestor")
    op.create_table(
        "upload",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_name", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("algorithm", sa.Text, nullable=False),
        sa.Column("checksum", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("retry_at", TIME),
        sa.Column("expires", TIME, nullable=False),
        sa.Column("created", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("received", TIME),
        sa.Column("checked", TIME),
        sa.Column("accepted", TIME),
        sa.Column("refused", TIME),
        sa.Column("unstaged", TIME),
        sa.CheckConstraint(
            "state in ('RECEIVING', 'CHECKING', 'SCANNING', 'ACCEPTED', 'REFUSED')", name=op.f("ck_upload_state")
        ),
        schema="ingestor",
    )
    op.create_index("ix_upload_user_name", "upload", ["user_name", "created"], schema="ingestor")
    _partial("open", "state", OPEN)
    _partial("staged", "accepted", "state = 'ACCEPTED' and unstaged is null")


def downgrade() -> None:
    """Remove the schema with all it holds."""
    op.execute("DROP SCHEMA ingestor CASCADE")


def _partial(name: str, column: str, condition: str) -> None:
    op.create_index(f"ix_upload_{name}", "upload", [column], schema="ingestor", postgresql_where=sa.text(condition))
