"""Schema `monitoring`: what the chain's REPORT lines tell, and the operators' invalidations."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014_kpi"
down_revision = "0013_gaps"
branch_labels = None
depends_on = None

SCHEMA = "monitoring"
TIME = sa.DateTime(timezone=True)
NAME = sa.Text(collation="C")
KINDS = {"dsib": "session_id, channel, ", "chunk": "session_id, channel, ", "aux_data": ""}
INVALIDATIONS = "monitoring.invalidation, monitoring.invalidation_timeliness, monitoring.invalidation_completeness"


def upgrade() -> None:
    """Make the schema, its tables and views; operators' invalidations are written by their API."""
    op.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    _make_inputs()
    _make_products()
    _make_tasks()
    _make_invalidations()
    op.execute("CREATE INDEX ix_inbox_entry_seen ON ingestion.inbox_entry USING brin (seen)")
    if _is_there("operations"):
        op.execute(f"GRANT INSERT, DELETE ON {INVALIDATIONS} TO operations")


def downgrade() -> None:
    """Remove the schema with all it holds."""
    op.execute("DROP INDEX ingestion.ix_inbox_entry_seen")
    op.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


def _make_inputs() -> None:
    dates = ("pickup_point_available_date", "ingestion_date", "catalog_storage_date", "prip_storage_date")
    op.create_table(
        "external_input",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("filename", NAME, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("mission", "station", "family", "level", "kind")),
        sa.Column("session_id", sa.Text),
        sa.Column("channel", sa.Integer),
        sa.Column("pickup_point_seen_date", TIME, nullable=False),
        *(sa.Column(name, TIME) for name in dates),
        schema=SCHEMA,
    )
    op.create_index("ix_external_input_seen", "external_input", ["pickup_point_seen_date"], schema=SCHEMA)
    op.create_index("ix_external_input_filename", "external_input", ["filename"], schema=SCHEMA)
    shown = f"filename, mission, station, pickup_point_seen_date, {', '.join(dates[:3])}"
    for kind, more in KINDS.items():
        op.execute(
            f"CREATE VIEW {SCHEMA}.{kind} AS SELECT id, {more}{shown} "  # noqa: S608
            f"FROM {SCHEMA}.external_input WHERE kind = '{kind}'"
        )


def _make_products() -> None:
    late = "coalesce(extract(epoch from prip_storage_date - t0_pdgs_date) > timeliness_value_seconds, false)"
    op.create_table(
        "product",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("filename", NAME, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("mission", "satellite", "station", "family", "level")),
        sa.Column("external", sa.Boolean, nullable=False),
        sa.Column("timeliness_name", sa.Text),
        sa.Column("timeliness_value_seconds", sa.Integer),
        sa.Column("end_to_end_product", sa.Boolean, nullable=False),
        sa.Column("identity", NAME),
        sa.Column("duplicate", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("t0_pdgs_date", TIME),
        sa.Column("prip_storage_date", TIME, nullable=False),
        sa.Column("late", sa.Boolean, sa.Computed(late, persisted=True), nullable=False),
        schema=SCHEMA,
    )
    op.create_index("ix_product_storage", "product", ["prip_storage_date"], schema=SCHEMA)
    op.create_index("ix_product_filename", "product", ["filename"], schema=SCHEMA)
    known = sa.text("identity is not null")
    op.create_index("ix_product_identity", "product", ["identity"], schema=SCHEMA, postgresql_where=known)


def _make_tasks() -> None:
    told = ("name", "mission", "satellite", "rs_chain_name", "rs_chain_version", "workflow")
    op.create_table(
        "processing",
        sa.Column("uid", sa.Uuid, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in told),
        sa.Column("follows_from_task", sa.Text),
        sa.Column("filename", sa.Text),
        sa.Column("begin_date", TIME),
        sa.Column("end_date", TIME),
        sa.Column("status", sa.Text),
        sa.Column("error_code", sa.Integer),
        sa.Column("duration_seconds", sa.Float),
        sa.Column("data_volume_mebibytes", sa.Float),
        schema=SCHEMA,
    )
    op.create_index("ix_processing_begin", "processing", ["begin_date"], schema=SCHEMA)
    op.create_index("ix_processing_follows", "processing", ["follows_from_task"], schema=SCHEMA)
    for name in ("input_list_external", "input_list_internal", "output_list"):
        op.create_table(
            name,
            sa.Column("processing_uid", sa.Uuid, primary_key=True),
            sa.Column("filename", NAME, primary_key=True),
            schema=SCHEMA,
        )
    op.create_table(
        "missing_products",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("processing_uid", sa.Uuid, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("mission", "station", "level")),
        sa.Column("noticed_date", TIME, nullable=False),
        sa.Column("product_metadata_custom", JSONB, nullable=False),
        sa.Column("end_to_end_product", sa.Boolean, nullable=False),
        sa.Column("estimated_count", sa.Integer, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("ix_missing_products_noticed", "missing_products", ["noticed_date"], schema=SCHEMA)


def _make_invalidations() -> None:
    op.create_table(
        "invalidation",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("responsibility", sa.Text, nullable=False),
        sa.Column("root_cause", sa.Text, nullable=False),
        sa.Column("anomaly_identifier", sa.Text, nullable=False, server_default=""),
        sa.Column("label", sa.Text, nullable=False, server_default=""),
        sa.Column("operator_name", sa.Text, nullable=False),
        sa.Column("update_date", TIME, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("responsibility in ('PDGS', 'E2E')", name=op.f("ck_invalidation_responsibility")),
        schema=SCHEMA,
    )
    for name, column in (("invalidation_timeliness", "product_id"), ("invalidation_completeness", "missing_id")):
        parent = sa.ForeignKey(f"{SCHEMA}.invalidation.id", ondelete="CASCADE")
        op.create_table(
            name,
            sa.Column("parent_id", sa.BigInteger, parent, primary_key=True),
            sa.Column(column, sa.Uuid, primary_key=True),
            schema=SCHEMA,
        )
        op.create_index(f"ix_{name}_{column}", name, [column], schema=SCHEMA)


def _is_there(role: str) -> bool:
    """Whether the database has a role; without an environment around it, as in tests, it has none."""
    found = sa.text("SELECT count(*) FROM pg_roles WHERE rolname = :role")
    return bool(op.get_bind().execute(found, {"role": role}).scalar_one())
