"""What production jobs used, and how bench runs compare."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018_measures"
down_revision = "0017_ondemand"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("execution", sa.Column("measures", JSONB), schema="production")


def downgrade() -> None:
    """Remove it."""
    op.drop_column("execution", "measures", schema="production")
