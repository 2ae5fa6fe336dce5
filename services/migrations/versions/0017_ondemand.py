"""Orders of users: what they ordered, which jobs belong to it, what jobs made, and notifications of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0017_ondemand"
down_revision = "0016_execution"
branch_labels = None
depends_on = None

SCHEMA = "production"
TIME = sa.DateTime(timezone=True)
ROLE = "ondemand"
_MAY = (
    "INSERT, UPDATE ON production.job",
    "INSERT, UPDATE, DELETE ON production.ondemand_request",
    "INSERT, DELETE ON production.ondemand_change",
    "DELETE ON production.open_input",
    "USAGE ON SCHEMA delivery",
    "INSERT ON delivery.endpoint",
    "SELECT, INSERT ON delivery.notification",
)
# The definer's rights: who changes a job needs none on orders.
NOTE_CHANGE = """
CREATE FUNCTION production.note_ordered_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  ordered uuid;
BEGIN
  IF TG_TABLE_NAME = 'execution' THEN
    SELECT request_id INTO ordered FROM production.job WHERE id = NEW.job_id;
  ELSE
    ordered := NEW.request_id;
  END IF;
  INSERT INTO production.ondemand_change (request_id)
  SELECT id FROM production.ondemand_request
  WHERE id = ordered AND (success IS NOT NULL OR in_progress IS NOT NULL OR failed IS NOT NULL);
  RETURN NULL;
END $$
"""
OF_JOBS = f"""
CREATE TRIGGER note_ordered AFTER UPDATE OF state ON {SCHEMA}.job FOR EACH ROW
WHEN (NEW.request_id IS NOT NULL AND OLD.state <> NEW.state) EXECUTE FUNCTION {SCHEMA}.note_ordered_job()
"""
BEGUN, BEGUN_AGAIN = (
    f"""
CREATE TRIGGER note_ordered_{name} AFTER {event} ON {SCHEMA}.execution FOR EACH ROW
WHEN ({condition}) EXECUTE FUNCTION {SCHEMA}.note_ordered_job()
"""
    for name, event, condition in (
        ("begun", "INSERT", "NEW.started IS NOT NULL"),
        ("begun_later", "UPDATE OF started", "OLD.started IS NULL AND NEW.started IS NOT NULL"),
    )
)
_ONE_CAUSE = "num_nonnulls(subscription_id, order_id, body) = 1"
_TWO_CAUSES = "(subscription_id IS NULL) <> (order_id IS NULL)"


def upgrade() -> None:
    """Make tables, columns and triggers; a notification may have a body of its own."""
    op.create_table(
        "ondemand_request",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("inputs", JSONB, nullable=False),
        sa.Column("key", sa.Text),
        *(sa.Column(name, sa.Uuid) for name in ("success", "in_progress", "failed")),
        sa.Column("told", sa.Text, nullable=False, server_default=""),
        sa.Column("created", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("dismissed", TIME),
        sa.UniqueConstraint("owner", "key", name="uq_ondemand_request_owner_key"),
        schema=SCHEMA,
    )
    op.create_index("ix_ondemand_request_owner_created", "ondemand_request", ["owner", "created"], schema=SCHEMA)
    op.create_table(
        "ondemand_change",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("moment", TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    op.add_column("job", sa.Column("request_id", sa.Uuid), schema=SCHEMA)
    op.create_foreign_key(
        "fk_job_request_id_ondemand_request",
        *("job", "ondemand_request", ["request_id"], ["id"]),
        source_schema=SCHEMA,
        referent_schema=SCHEMA,
    )
    op.execute("CREATE INDEX ix_job_request_id ON production.job (request_id) WHERE request_id IS NOT NULL")
    op.add_column(
        "execution", sa.Column("products", ARRAY(sa.Text), nullable=False, server_default="{}"), schema=SCHEMA
    )
    op.execute(NOTE_CHANGE)
    op.execute(f"REVOKE ALL ON FUNCTION {SCHEMA}.note_ordered_job() FROM PUBLIC")
    for trigger in (OF_JOBS, BEGUN, BEGUN_AGAIN):
        op.execute(trigger)
    op.add_column("notification", sa.Column("body", JSONB), schema="delivery")
    _have_causes(_ONE_CAUSE)
    if _is_there(ROLE):
        for privilege in _MAY:
            op.execute(f"GRANT {privilege} TO {ROLE}")


def downgrade() -> None:
    """Remove what `upgrade` made."""
    if _is_there(ROLE):
        for privilege in reversed(_MAY):
            op.execute(f"REVOKE {privilege} FROM {ROLE}")
    op.execute("DELETE FROM delivery.notification WHERE body IS NOT NULL")
    op.drop_column("notification", "body", schema="delivery")
    _have_causes(_TWO_CAUSES)
    op.execute(f"DROP TRIGGER note_ordered ON {SCHEMA}.job")
    for name in ("note_ordered_begun", "note_ordered_begun_later"):
        op.execute(f"DROP TRIGGER {name} ON {SCHEMA}.execution")
    op.execute(f"DROP FUNCTION {SCHEMA}.note_ordered_job()")
    op.drop_column("execution", "products", schema=SCHEMA)
    op.drop_column("job", "request_id", schema=SCHEMA)
    op.drop_table("ondemand_change", schema=SCHEMA)
    op.drop_table("ondemand_request", schema=SCHEMA)


def _have_causes(condition: str) -> None:
    """Say what a notification is of; the constraint before has a name that PostgreSQL gave it, and goes with it."""
    op.execute(
        "DO $$ DECLARE name text; BEGIN FOR name IN SELECT conname FROM pg_constraint "
        "WHERE conrelid = 'delivery.notification'::regclass AND contype = 'c' "
        "AND position('order_id' in pg_get_constraintdef(oid)) > 0 "
        "LOOP EXECUTE 'ALTER TABLE delivery.notification DROP CONSTRAINT ' || quote_ident(name); END LOOP; END $$"
    )
    op.execute(f"ALTER TABLE delivery.notification ADD CONSTRAINT ck_notification_cause CHECK ({condition})")


def _is_there(role: str) -> bool:
    """Whether the database has a role; without an environment around it, as in tests, it has none."""
    found = sa.text("SELECT count(*) FROM pg_roles WHERE rolname = :role")
    return bool(op.get_bind().execute(found, {"role": role}).scalar_one())
