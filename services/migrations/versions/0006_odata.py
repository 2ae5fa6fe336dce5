"""What the complete OData service needs: quicklooks, counts that stay exact, orders by index, quotas by user."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006_odata"
down_revision = "0005_catalogue_metadata"
branch_labels = None
depends_on = None

# Counts are remembered up to a publication date; what changes or removes products makes them void.
COUNT_CHANGE = """
CREATE FUNCTION distribution.count_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  IF EXISTS (SELECT FROM changed) THEN
    UPDATE distribution.revision SET number = number + 1;
  END IF;
  RETURN NULL;
END
$$
"""
COUNT_TRUNCATE = """
CREATE FUNCTION distribution.count_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
  UPDATE distribution.revision SET number = number + 1;
  RETURN NULL;
END
$$
"""
# One order serves both directions: OData has null before all values.
ORDERS = {
    "content_start": "(content_start NULLS FIRST, id)",
    "content_end": "(content_end NULLS FIRST, id)",
    "origin_date": "(origin_date NULLS FIRST, id)",
    "eviction_date": "(eviction_date NULLS FIRST, id)",
    "content_length": "(content_length, id)",
    "type_start": "(product_type, content_start NULLS FIRST, id)",
    "mission_start": "(mission, content_start NULLS FIRST, id)",
}
OLD_ORDERS = {
    "content_start": "(content_start)",
    "content_end": "(content_end)",
    "origin_date": "(origin_date)",
    "eviction_date": "(eviction_date) WHERE eviction_date IS NOT NULL",
}


def upgrade() -> None:
    """Add the column, the revision of the table with its triggers, the indexes, the schema `quota`."""
    op.add_column("product", sa.Column("quicklooks", JSONB, nullable=False, server_default="[]"), schema="distribution")
    _revision()
    for name in OLD_ORDERS:
        op.execute(f"DROP INDEX distribution.ix_product_{name}")
    for name, definition in ORDERS.items():
        op.execute(f"CREATE INDEX ix_product_{name} ON distribution.product {definition}")
    # Counts of names that begin alike, since a date, read nothing but this index.
    _unique_name("INCLUDE (publication_date)")
    op.execute("CREATE INDEX ix_product_checksums ON distribution.product USING gin (checksums jsonb_path_ops)")
    _quota()


def downgrade() -> None:
    """Remove what `upgrade` made."""
    op.execute("DROP SCHEMA quota CASCADE")
    op.execute("DROP INDEX distribution.ix_product_checksums")
    _unique_name("")
    for name in ORDERS:
        op.execute(f"DROP INDEX distribution.ix_product_{name}")
    for name, definition in OLD_ORDERS.items():
        op.execute(f"CREATE INDEX ix_product_{name} ON distribution.product {definition}")
    for action in ("update", "delete", "truncate"):
        op.execute(f"DROP TRIGGER count_{action} ON distribution.product")
    op.execute("DROP FUNCTION distribution.count_change(), distribution.count_truncate()")
    op.drop_table("revision", schema="distribution")
    op.drop_column("product", "quicklooks", schema="distribution")


def _unique_name(included: str) -> None:
    op.execute("ALTER TABLE distribution.product DROP CONSTRAINT product_name_key")
    op.execute(f"ALTER TABLE distribution.product ADD CONSTRAINT product_name_key UNIQUE (name) {included}")


def _revision() -> None:
    op.create_table(
        "revision",
        sa.Column("one", sa.Boolean, sa.CheckConstraint("one", name="one"), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        schema="distribution",
    )
    op.execute("INSERT INTO distribution.revision VALUES (true, 0)")
    op.execute(COUNT_CHANGE)
    op.execute(COUNT_TRUNCATE)
    for action in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER count_{action.lower()} AFTER {action} ON distribution.product "
            "REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION distribution.count_change()"
        )
    op.execute(
        "CREATE TRIGGER count_truncate AFTER TRUNCATE ON distribution.product "
        "FOR EACH STATEMENT EXECUTE FUNCTION distribution.count_truncate()"
    )


def _quota() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS quota")
    # Unlogged: they speak of minutes, and a request must not wait for the disk.
    op.create_table(
        "minute",
        sa.Column("user_name", sa.Text, primary_key=True),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        schema="quota",
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "download",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("user_name", sa.Text, nullable=False, index=True),
        sa.Column("remaining_bytes", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        schema="quota",
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "month",
        sa.Column("user_name", sa.Text, primary_key=True),
        sa.Column("start", sa.Date, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        schema="quota",
    )
