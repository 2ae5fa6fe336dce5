"""Schemas `lifecycle`, `reconciliation` and `dead_letters`; the catalogue knows lost products."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011_lifecycle"
down_revision = "0010_orders"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    _catalogue_states("'VALID', 'INVALID', 'LOST'")
    for schema in ("lifecycle", "reconciliation", "dead_letters"):
        op.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    _lifecycle()
    _reconciliation()
    _dead_letters()


def downgrade() -> None:
    """Remove the schemas with all they hold; lost products are invalid again."""
    for schema in ("lifecycle", "reconciliation", "dead_letters"):
        op.execute(f"DROP SCHEMA {schema} CASCADE")
    op.execute("UPDATE catalogue.product SET state = 'INVALID' WHERE state = 'LOST'")
    _catalogue_states("'VALID', 'INVALID'")


def _catalogue_states(states: str) -> None:
    op.execute("ALTER TABLE catalogue.product DROP CONSTRAINT ck_product_state")
    op.execute(f"ALTER TABLE catalogue.product ADD CONSTRAINT ck_product_state CHECK (state in ({states}))")


def _lifecycle() -> None:
    storages = ("uncompressed", "compressed")
    op.create_table(
        "data",
        sa.Column("product_name", sa.Text(collation="C"), primary_key=True),
        sa.Column("mission_id", sa.Text, nullable=False),
        sa.Column("satellite_id", sa.Text, nullable=False),
        *(column for storage in storages for column in _storage_columns(storage)),
        sa.Column("available_in_lta", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("last_modified", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("last_data_request", TIME),
        sa.Column("prip_pending", TIME),
        schema="lifecycle",
    )
    for storage in storages:
        date, family = f"eviction_date_in_{storage}_storage", f"product_family_in_{storage}_storage"
        _index("lifecycle", "data", f"{storage}_due", f"({date}) WHERE NOT persistent_in_{storage}_storage")
        _index("lifecycle", "data", f"{storage}_family", f"({family}, product_name)")
    _index("lifecycle", "data", "prip_pending", "(prip_pending) WHERE prip_pending IS NOT NULL")
    op.create_table(
        "eviction",
        sa.Column("product_name", sa.Text(collation="C"), primary_key=True),
        sa.Column("storage", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("mission_id", sa.Text, nullable=False),
        sa.Column("satellite_id", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("operator_name", sa.Text, nullable=False, server_default=""),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("requested", TIME, nullable=False),
        sa.Column("retry_at", TIME, nullable=False),
        sa.Column("finished", TIME),
        sa.CheckConstraint("storage in ('uncompressed', 'compressed')", name=op.f("ck_eviction_storage")),
        sa.CheckConstraint("cause in ('POLICY', 'OPERATOR')", name=op.f("ck_eviction_cause")),
        sa.CheckConstraint(
            "state in ('REQUESTED', 'UNPUBLISHED', 'UNCATALOGUED', 'DONE')", name=op.f("ck_eviction_state")
        ),
        schema="lifecycle",
    )
    _index("lifecycle", "eviction", "retry", "(retry_at) WHERE state <> 'DONE'")
    _index("lifecycle", "eviction", "path", "(path) WHERE state <> 'DONE'")
    _index("lifecycle", "eviction", "finished", "(finished) WHERE state = 'DONE'")


def _storage_columns(storage: str) -> list[sa.Column[object]]:
    place = f"in_{storage}_storage"
    return [
        sa.Column(f"path_{place}", sa.Text),
        sa.Column(f"product_family_{place}", sa.Text),
        sa.Column(f"eviction_date_{place}", TIME),
        sa.Column(f"last_insertion_{place}", TIME),
        sa.Column(f"persistent_{place}", sa.Boolean, nullable=False, server_default=sa.false()),
    ]


def _reconciliation() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("requested", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("operator_name", sa.Text, nullable=False, server_default=""),
        sa.Column("repair", sa.Boolean, nullable=False),
        sa.Column("delete_orphans", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("started", TIME),
        sa.Column("finished", TIME),
        sa.Column("report", JSONB),
        sa.CheckConstraint("state in ('REQUESTED', 'RUNNING', 'DONE', 'FAILED')", name=op.f("ck_run_state")),
        schema="reconciliation",
    )
    op.create_table(
        "finding",
        sa.Column("run_id", sa.Uuid, sa.ForeignKey("reconciliation.run.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False, server_default=""),
        schema="reconciliation",
    )
    op.create_table(
        "orphan",
        sa.Column("bucket", sa.Text, primary_key=True),
        sa.Column("key", sa.Text(collation="C"), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("first_seen", TIME, nullable=False),
        sa.Column("last_seen", TIME, nullable=False),
        schema="reconciliation",
    )


def _dead_letters() -> None:
    op.create_table(
        "failed_processing",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("mission_id", sa.Text, nullable=False),
        sa.Column("error_level", sa.Text, nullable=False),
        sa.Column("failure_date", TIME, nullable=False),
        sa.Column("first_failure_date", TIME, nullable=False),
        sa.Column("failure_message", sa.Text, nullable=False),
        sa.Column("stacktrace", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("retry_counter", sa.Integer, nullable=False),
        sa.Column("occurrences", sa.Integer, nullable=False, server_default="1"),
        sa.Column("rule", sa.Text, nullable=False, server_default=""),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("due", TIME),
        sa.Column("target_topic", sa.Text, nullable=False, server_default=""),
        sa.Column("outgoing", sa.Text, nullable=False, server_default=""),
        sa.Column("batch", sa.BigInteger),
        sa.Column("operator_name", sa.Text, nullable=False, server_default=""),
        sa.Column("updated", TIME, nullable=False, server_default=sa.func.now()),
        sa.UniqueConstraint("topic", "uid", name="uq_failed_processing_topic_uid"),
        sa.CheckConstraint(
            "state in ('PARKED', 'RESTARTING', 'SENDING', 'RESTARTED')", name=op.f("ck_failed_processing_state")
        ),
        schema="dead_letters",
    )
    _index("dead_letters", "failed_processing", "parked", "(failure_date DESC, id) WHERE state = 'PARKED'")
    _index("dead_letters", "failed_processing", "due", "(due) WHERE state = 'RESTARTING'")
    _index("dead_letters", "failed_processing", "sending", "(batch) WHERE state = 'SENDING'")
    _index("dead_letters", "failed_processing", "updated", "(updated)")
    op.create_table(
        "failure",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("record_offset", sa.BigInteger, primary_key=True),
        sa.Column("uid", sa.Text, primary_key=True),
        sa.Column("seen", TIME, nullable=False, server_default=sa.func.now()),
        schema="dead_letters",
    )
    _index("dead_letters", "failure", "seen", "(seen)")
    op.execute("CREATE SEQUENCE dead_letters.restart_batch")


def _index(schema: str, table: str, name: str, definition: str) -> None:
    op.execute(f"CREATE INDEX ix_{table}_{name} ON {schema}.{table} {definition}")
