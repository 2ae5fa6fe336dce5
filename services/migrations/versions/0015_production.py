"""Schema `production`: jobs, what they wait for, and chains that operators added."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSTZRANGE

revision = "0015_production"
down_revision = "0014_kpi"
branch_labels = None
depends_on = None

SCHEMA = "production"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the schema and its tables; types and satellites are in one index with periods."""
    op.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    _make_jobs()
    _make_open_inputs()
    op.create_table(
        "chain",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("operator_name", sa.Text, nullable=False),
        sa.Column("added", TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Remove the schema with all it holds."""
    op.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    op.execute("DROP EXTENSION btree_gist")


def _make_jobs() -> None:
    states = {
        "state": ("WAITING", "DISPATCHING", "GENERATING", "TERMINATED"),
        "generation": ("INITIAL", "PRIMARY_CHECK", "READY", "SENT", "END"),
        "outcome": ("OK", "WARNING", "NOK", "TIMEOUT", "CANCELLED"),
    }
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid, primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("chain", "task_table", "mission", "satellite", "timeliness")
        ),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("facts", JSONB, nullable=False),
        sa.Column("start_time", TIME, nullable=False),
        sa.Column("stop_time", TIME, nullable=False),
        sa.Column("t0_pdgs", TIME),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("generation", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
        sa.Column("waits_for", JSONB, nullable=False, server_default="[]"),
        sa.Column("due", TIME),
        sa.Column("order", JSONB),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        *(
            sa.Column(name, TIME, nullable=False, server_default=sa.func.now())
            for name in ("created", "since", "changed")
        ),
        *(
            sa.CheckConstraint(f"{column} in ({', '.join(map(repr, values))})", name=op.f(f"ck_job_{column}"))
            for column, values in states.items()
        ),
        sa.UniqueConstraint("chain", "task_table", "trigger", name="uq_job_chain_task_table_trigger"),
        schema=SCHEMA,
    )
    op.execute("CREATE INDEX ix_job_due ON production.job (due) WHERE state = 'WAITING'")
    op.execute("CREATE INDEX ix_job_open ON production.job (state, priority, changed) WHERE state <> 'TERMINATED'")
    op.execute("CREATE INDEX ix_job_changed ON production.job (changed)")


def _make_open_inputs() -> None:
    op.create_table(
        "open_input",
        sa.Column("job_id", sa.Uuid, sa.ForeignKey("production.job.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("input", sa.Integer, primary_key=True),
        sa.Column("alternative", sa.Integer, primary_key=True),
        sa.Column("product_type", sa.Text, nullable=False),
        sa.Column("satellite", sa.Text(collation="C"), nullable=False),
        sa.Column("period", TSTZRANGE, nullable=False),
        sa.Column("covers", sa.Boolean, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("useful", TIME),
        schema=SCHEMA,
    )
    op.execute("CREATE INDEX ix_open_input_use ON production.open_input USING gist (product_type, satellite, period)")
