"""Roles of subscriptions, places of deleted products, archives of recalls, last blocks of sessions; rights for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0013_gaps"
down_revision = "0012_ingestor"
branch_labels = None
depends_on = None

# Deleting a product tells subscribers and ends orders. Locking a row asks for UPDATE of one column at least.
_MAY = {
    "metadata_search": (
        "USAGE ON SCHEMA delivery",
        "SELECT, INSERT, UPDATE ON distribution.deleted_product",
        "UPDATE (id) ON distribution.product",
        "SELECT, UPDATE ON delivery.recall, delivery.product_order",
        "SELECT, INSERT ON delivery.notification",
    ),
    "ingestion": (
        "USAGE ON SCHEMA delivery",
        "SELECT, UPDATE ON delivery.recall, delivery.product_order",
        "SELECT, INSERT ON delivery.notification",
    ),
}
_ARCHIVE = ("station", "source_id")


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
    op.create_table(
        "session_end",
        sa.Column("session", sa.Uuid, primary_key=True),
        sa.Column("channel", sa.Integer, primary_key=True),
        sa.Column("last_block", sa.Text(collation="C"), nullable=False),
        schema="distribution",
    )
    op.execute(
        "CREATE INDEX ix_inbox_entry_session ON ingestion.inbox_entry (station, (session ->> 'session_id')) "
        "WHERE session IS NOT NULL"
    )
    for column in _ARCHIVE:
        op.add_column("recall", sa.Column(column, sa.Text), schema="delivery")
    for role, privileges in _MAY.items():
        if _is_there(role):
            for privilege in privileges:
                op.execute(f"GRANT {privilege} TO {role}")


def downgrade() -> None:
    """Remove what `upgrade` added."""
    for role, privileges in _MAY.items():
        if _is_there(role):
            for privilege in privileges:
                op.execute(f"REVOKE {privilege} FROM {role}")
    op.execute("DROP INDEX ingestion.ix_inbox_entry_session")
    op.drop_table("session_end", schema="distribution")
    for column in _ARCHIVE:
        op.drop_column("recall", column, schema="delivery")
    op.drop_column("deleted_product", "bucket", schema="distribution")
    op.drop_column("subscription", "roles", schema="delivery")


def _is_there(role: str) -> bool:
    """Whether the database has a role; without an environment around it, as in tests, it has none."""
    found = sa.text("SELECT count(*) FROM pg_roles WHERE rolname = :role")
    return bool(op.get_bind().execute(found, {"role": role}).scalar_one())
