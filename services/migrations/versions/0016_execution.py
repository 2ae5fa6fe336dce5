"""Where execution jobs are in the cluster, what operators want of them, and a word when execution gets or loses one."""

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
    # Whoever ends a job that runs, or begins it anew: execution hears of it.
    op.execute(
        f"CREATE FUNCTION {SCHEMA}.tell_execution() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_notify('execution', NEW.id::text); RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER tell_execution AFTER UPDATE OF state ON {SCHEMA}.job FOR EACH ROW "
        "WHEN (OLD.state <> NEW.state AND 'GENERATING' IN (OLD.state, NEW.state)) "
        f"EXECUTE FUNCTION {SCHEMA}.tell_execution()"
    )


def downgrade() -> None:
    """Remove it."""
    op.execute(f"DROP TRIGGER tell_execution ON {SCHEMA}.job")
    op.execute(f"DROP FUNCTION {SCHEMA}.tell_execution()")
    op.drop_table("execution", schema=SCHEMA)
