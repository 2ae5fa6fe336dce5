"""Of each job the attempts that were not the last, each with the reason for the next one."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019_attempts"
down_revision = "0018_measures"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("job", sa.Column("past", JSONB, nullable=False, server_default="[]"), schema="production")


def downgrade() -> None:
    """Remove it."""
    op.drop_column("job", "past", schema="production")
