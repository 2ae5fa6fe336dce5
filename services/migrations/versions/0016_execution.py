"""Where execution jobs are in the cluster, and what operators want of them."""

import sqlalchemy as sa
from alembic import op

revision = "0016_execution"
down_revision = "0015_production"
branch_labels = None
depends_on = None

SCHEMA = "production"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "execution",
        sa.Column("job_id", sa.Uuid, sa.ForeignKey("production.job.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("phase", sa.Text, nullable=False, server_default="QUEUED"),
        sa.Column("detail", sa.Text, nullable=False, server_default=""),
        sa.Column("node", sa.Text, nullable=False, server_default=""),
        sa.Column("hold", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("started", TIME),
        sa.Column("changed", TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("execution", schema=SCHEMA)
