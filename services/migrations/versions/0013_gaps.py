"""Subscriptions keep the roles of their owner, deleted products where they lay."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0013_gaps"
down_revision = "0011_lifecycle"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; until now subscriptions were for users who may see everything."""
    everything = sa.text("ARRAY['prip-user']")
    op.add_column(
        "subscription", sa.Column("roles", ARRAY(sa.Text), nullable=False, server_default=everything), schema="delivery"
    )
    op.alter_column("subscription", "roles", server_default=None, schema="delivery")
    op.add_column(
        "deleted_product", sa.Column("bucket", sa.Text, nullable=False, server_default=""), schema="distribution"
    )


def downgrade() -> None:
    """Remove what `upgrade` added."""
    op.drop_column("deleted_product", "bucket", schema="distribution")
    op.drop_column("subscription", "roles", schema="delivery")
