"""What was read from the AUXIP, plans and their files."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from refsys.services.orbits import schema

revision = "0001_plans"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    schema.create()
    op.create_table(
        "plan",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("created", schema.TIME, nullable=False, unique=True),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("start", schema.TIME, nullable=False),
        sa.Column("stop", schema.TIME, nullable=False),
        sa.Column("rules", JSONB, nullable=False),
        sa.Column("inputs", JSONB, nullable=False),
        sa.Column("decisions", JSONB, nullable=False),
        sa.Column("warnings", JSONB, nullable=False),
        sa.Column("publisher", sa.Text, nullable=False, server_default=""),
        sa.Column("publish_reason", sa.Text, nullable=False, server_default=""),
        sa.Column("published", schema.TIME),
    )
    op.create_table(
        "plan_file",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, sa.ForeignKey("plan.version", ondelete="CASCADE"), nullable=False, index=True),
        sa.Column("satellite", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("contacts", sa.Integer, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("upload", sa.Text, nullable=False, server_default=""),
        sa.Column("product", sa.Text, nullable=False, server_default=""),
        sa.Column("changed", schema.TIME, nullable=False, server_default=sa.func.now()),
    )
    op.create_index(
        "ix_plan_file_open", "plan_file", ["state"], postgresql_where=sa.text("state in ('WAITING', 'UPLOADED')")
    )
