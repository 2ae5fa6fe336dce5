"""Schema `delivery` (subscriptions, notifications, orders), deleted products, and the CADIP's sessions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from refsys.services.common.database import Geometry

revision = "0007_delivery"
down_revision = "0006_odata"
branch_labels = None
depends_on = None

# In the transaction that publishes, changes or deletes a product: an event exists if and only if the change does.
# The definer's rights let the publisher note events without any access to subscriptions. Without a subscriber
# nothing is noted.
NOTE_EVENT = """
CREATE FUNCTION delivery.note_product_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  noted text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'modified' ELSE 'deleted' END;
  changed distribution.product := NEW;
BEGIN
  IF TG_OP = 'DELETE' THEN changed := OLD; END IF;
  IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - 'trace' = to_jsonb(NEW) - 'trace' THEN RETURN NULL; END IF;
  INSERT INTO delivery.product_event (kind, product_id, product_name, moment)
  SELECT noted, changed.id, changed.name, clock_timestamp()
  WHERE EXISTS (SELECT FROM delivery.subscription WHERE status = 'running' AND noted = ANY (events));
  RETURN NULL;
END $$
"""
TRIGGER = """
CREATE TRIGGER note_event AFTER INSERT OR UPDATE OR DELETE ON distribution.product
FOR EACH ROW EXECUTE FUNCTION delivery.note_product_event()
"""


def upgrade() -> None:
    """Make schema, tables, indexes and the trigger."""
    op.execute("CREATE SCHEMA IF NOT EXISTS delivery")
    _subscriptions()
    _orders()
    _notifications()
    _deleted_products()
    _sessions()
    op.execute(NOTE_EVENT)
    op.execute("REVOKE ALL ON FUNCTION delivery.note_product_event() FROM PUBLIC")
    op.execute(TRIGGER)


def downgrade() -> None:
    """Remove what `upgrade` made."""
    op.execute("DROP TRIGGER note_event ON distribution.product")
    op.execute("DROP SCHEMA delivery CASCADE")
    for table in ("session_quality", "session_file", "session", "deleted_product"):
        op.drop_table(table, schema="distribution")


def _moment(name: str, *, nullable: bool = True) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _subscriptions() -> None:
    op.create_table(
        "endpoint",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("username", sa.Text),
        sa.Column("password", sa.LargeBinary),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_attempt", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("last_error", sa.Text),
        schema="delivery",
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("filter_param", sa.Text, nullable=False),
        sa.Column("stage_order", sa.Boolean, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, sa.CheckConstraint("status IN ('running','paused','cancelled')"), nullable=False),
        sa.Column("status_message", sa.Text),
        sa.Column("events", ARRAY(sa.Text), nullable=False),
        sa.Column("type", sa.Text, sa.CheckConstraint("type IN ('pull','push')"), nullable=False),
        sa.Column("endpoint_id", sa.Uuid, sa.ForeignKey("delivery.endpoint.id")),
        _moment("submission_date", nullable=False),
        _moment("last_notification_date"),
        schema="delivery",
    )
    op.execute("CREATE INDEX ix_subscription_owner ON delivery.subscription (owner)")
    op.execute("CREATE INDEX ix_subscription_running ON delivery.subscription (id) WHERE status = 'running'")
    op.create_table(
        "product_event",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("product_name", sa.Text),
        _moment("moment", nullable=False),
        sa.Column("value", JSONB),
        sa.Column("matched", sa.Boolean, nullable=False, server_default=sa.false()),
        schema="delivery",
    )
    op.execute("CREATE INDEX ix_product_event_new ON delivery.product_event (id) WHERE NOT matched")
    op.execute("CREATE INDEX ix_product_event_moment ON delivery.product_event (moment)")


def _orders() -> None:
    op.create_table(
        "recall",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("product_name", sa.Text, nullable=False),
        sa.Column("content_length", sa.BigInteger, nullable=False),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("object_key", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column(
            "state",
            sa.Text,
            sa.CheckConstraint("state IN ('requested','in_progress','completed','failed','cancelled')"),
            nullable=False,
        ),
        sa.Column("reason", sa.Text),
        _moment("requested", nullable=False),
        _moment("leased_until"),
        _moment("finished"),
        schema="delivery",
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_recall_open ON delivery.recall (product_id) WHERE state IN ('requested', 'in_progress')"
    )
    op.execute("CREATE INDEX ix_recall_finished ON delivery.recall (finished) WHERE state = 'completed'")
    op.create_table(
        "product_order",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("product_name", sa.Text, nullable=False),
        sa.Column(
            "status",
            sa.Text,
            sa.CheckConstraint("status IN ('queued','in_progress','completed','failed','cancelled')"),
            nullable=False,
        ),
        sa.Column("status_message", sa.Text, nullable=False),
        sa.Column("order_size", sa.BigInteger, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("recall_id", sa.Uuid, sa.ForeignKey("delivery.recall.id")),
        sa.Column("endpoint_id", sa.Uuid, sa.ForeignKey("delivery.endpoint.id")),
        _moment("submission_date", nullable=False),
        _moment("estimated_date"),
        _moment("completed_date"),
        _moment("eviction_date"),
        schema="delivery",
    )
    op.execute("CREATE INDEX ix_product_order_owner ON delivery.product_order (owner, submission_date)")
    op.execute("CREATE INDEX ix_product_order_product ON delivery.product_order (product_id)")
    op.execute("CREATE INDEX ix_product_order_recall ON delivery.product_order (recall_id)")


def _notifications() -> None:
    op.create_table(
        "notification",
        sa.Column("seq", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("id", sa.Uuid, nullable=False, server_default=sa.func.gen_random_uuid()),
        sa.Column("subscription_id", sa.Uuid, sa.ForeignKey("delivery.subscription.id")),
        sa.Column("event_id", sa.BigInteger, sa.ForeignKey("delivery.product_event.id")),
        sa.Column("order_id", sa.Uuid, sa.ForeignKey("delivery.product_order.id"), unique=True),
        sa.Column("endpoint_id", sa.Uuid, sa.ForeignKey("delivery.endpoint.id")),
        _moment("moment", nullable=False),
        sa.UniqueConstraint("event_id", "subscription_id"),
        sa.CheckConstraint("(subscription_id IS NULL) = (event_id IS NULL)"),
        sa.CheckConstraint("(subscription_id IS NULL) <> (order_id IS NULL)"),
        schema="delivery",
    )
    op.execute("CREATE INDEX ix_notification_queue ON delivery.notification (subscription_id, seq)")
    op.execute(
        "CREATE INDEX ix_notification_endpoint ON delivery.notification (endpoint_id, seq) "
        "WHERE endpoint_id IS NOT NULL"
    )


def _deleted_products() -> None:
    op.create_table(
        "deleted_product",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("content_length", sa.BigInteger, nullable=False),
        _moment("origin_date"),
        _moment("publication_date", nullable=False),
        _moment("eviction_date"),
        _moment("content_start"),
        _moment("content_end"),
        sa.Column("checksums", JSONB, nullable=False),
        sa.Column("production_type", sa.Text, nullable=False),
        sa.Column("online", sa.Boolean, nullable=False),
        sa.Column("footprint", Geometry()),
        sa.Column("mission", sa.Text, nullable=False),
        sa.Column("product_type", sa.Text(collation="C")),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("deletion_date", sa.DateTime(timezone=True), nullable=False, unique=True),
        sa.Column("deletion_cause", sa.Text, nullable=False),
        schema="distribution",
    )
    op.execute("CREATE INDEX ix_deleted_product_name ON distribution.deleted_product (name)")


def _sessions() -> None:
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("session_id", sa.Text(collation="C"), nullable=False),
        sa.Column("retransfer", sa.Boolean, nullable=False),
        sa.Column("num_channels", sa.Integer, nullable=False),
        sa.Column("publication_date", sa.DateTime(timezone=True), nullable=False, unique=True),
        sa.Column("satellite", sa.Text, nullable=False),
        sa.Column("station_unit_id", sa.Text, nullable=False),
        sa.Column("station_id", sa.Text, nullable=False),
        sa.Column("downlink_orbit", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("acquisition_id", "antenna_id", "front_end_id")),
        *(
            sa.Column(name, sa.Boolean)
            for name in ("antenna_status_ok", "front_end_status_ok", "downlink_status_ok", "delivery_push_ok")
        ),
        _moment("planned_data_start"),
        _moment("planned_data_stop"),
        _moment("downlink_start", nullable=False),
        _moment("downlink_stop", nullable=False),
        sa.UniqueConstraint("session_id", "retransfer"),
        schema="distribution",
    )
    op.execute("CREATE INDEX ix_session_satellite ON distribution.session (satellite, publication_date)")
    op.create_table(
        "session_file",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("session", sa.Uuid, sa.ForeignKey("distribution.session.id"), nullable=False),
        sa.Column("session_id", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("channel", sa.Integer, nullable=False),
        sa.Column("block_number", sa.Integer, nullable=False),
        sa.Column("final_block", sa.Boolean, nullable=False),
        sa.Column("retransfer", sa.Boolean, nullable=False),
        sa.Column("publication_date", sa.DateTime(timezone=True), nullable=False, unique=True),
        _moment("eviction_date", nullable=False),
        sa.Column("content_length", sa.BigInteger, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("checksums", JSONB, nullable=False),
        sa.Column("mission", sa.Text, nullable=False),
        sa.Column("bucket", sa.Text, nullable=False),
        sa.Column("object_key", sa.Text, nullable=False),
        sa.UniqueConstraint("session", "name"),
        schema="distribution",
    )
    op.execute("CREATE INDEX ix_session_file_session_id ON distribution.session_file (session_id, publication_date)")
    op.create_table(
        "session_quality",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("session", sa.Uuid, sa.ForeignKey("distribution.session.id"), nullable=False),
        sa.Column("session_id", sa.Text(collation="C"), nullable=False),
        sa.Column("channel", sa.Integer, nullable=False),
        *(
            sa.Column(name, sa.BigInteger)
            for name in (
                "acquired_tfs",
                "error_tfs",
                "corrected_tfs",
                "uncorrectable_tfs",
                "data_tfs",
                "error_data_tfs",
                "corrected_data_tfs",
                "uncorrectable_data_tfs",
            )
        ),
        _moment("delivery_start", nullable=False),
        _moment("delivery_stop", nullable=False),
        sa.Column("total_chunks", sa.Integer, nullable=False),
        sa.Column("total_volume", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("session", "channel"),
        schema="distribution",
    )
    op.execute("CREATE INDEX ix_session_quality_session_id ON distribution.session_quality (session_id)")
