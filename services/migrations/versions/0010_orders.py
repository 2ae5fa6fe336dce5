"""Schema `ingestion`: orders of products that a long-term archive has offline."""

import sqlalchemy as sa
from alembic import op

revision = "0010_orders"
down_revision = "0009_transform"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "station_order",
        sa.Column("station", sa.Text, primary_key=True),
        sa.Column("product_id", sa.Text, primary_key=True),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema="ingestion",
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("station_order", schema="ingestion")
