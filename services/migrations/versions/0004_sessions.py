"""Schema `ingestion`: files of all kinds of station, downlink sessions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004_sessions"
down_revision = "0003_distribution"
branch_labels = None
depends_on = None

SCHEMA = "ingestion"
TIME = sa.DateTime(timezone=True)
STATES = "state in ('QUEUED', 'RETRY', 'STORED', 'QUARANTINED'{more})"


def upgrade() -> None:
    """Widen the inbox, key stored files by their place, make the tables of sessions."""
    op.alter_column("inbox_entry", "size", nullable=True, schema=SCHEMA)
    for column in (
        sa.Column("path", sa.Text, nullable=False, server_default=""),
        sa.Column("session", JSONB),
        sa.Column("station_code", sa.Text),
        sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    ):
        op.add_column("inbox_entry", column, schema=SCHEMA)
    op.execute(f"UPDATE {SCHEMA}.inbox_entry SET station_code = station")  # noqa: S608  # a constant
    op.alter_column("inbox_entry", "station_code", nullable=False, schema=SCHEMA)
    _states(", 'FILTERED'")
    op.drop_constraint("stored_file_pkey", "stored_file", schema=SCHEMA)
    op.create_primary_key("stored_file_pkey", "stored_file", ["storage_path"], schema=SCHEMA)
    op.create_index("ix_stored_file_name", "stored_file", ["name"], schema=SCHEMA)
    op.create_table(
        "downlink_session",
        sa.Column("station", sa.Text, primary_key=True),
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("source_id", sa.Text, nullable=False),
        sa.Column("satellite", sa.Text, nullable=False),
        sa.Column("num_channels", sa.Integer, nullable=False),
        sa.Column("publication_date", TIME, nullable=False),
        sa.Column("downlink_start", TIME),
        sa.Column("downlink_stop", TIME),
        sa.Column("properties", JSONB, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("completed", TIME),
        sa.Column("seen", TIME, nullable=False, server_default=sa.func.now()),
        sa.Column("updated", TIME, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("state in ('OPEN', 'DONE', 'INCOMPLETE')", name=op.f("ck_downlink_session_state")),
        schema=SCHEMA,
    )
    op.create_index("ix_downlink_session_state", "downlink_session", ["station", "state", "completed"], schema=SCHEMA)
    op.create_table(
        "session_channel",
        sa.Column("station", sa.Text, primary_key=True),
        sa.Column("session_id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("retransfer", sa.Boolean, primary_key=True),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("last_publication", TIME, nullable=False),
        sa.Column("dsib_name", sa.Text),
        sa.Column("dsib", sa.Text),
        sa.Column("quality", JSONB),
        sa.Column("completed", TIME, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )


def downgrade() -> None:
    """Back to auxiliary files alone; what is of sessions goes."""
    op.drop_table("session_channel", schema=SCHEMA)
    op.drop_table("downlink_session", schema=SCHEMA)
    op.execute(f"DELETE FROM {SCHEMA}.stored_file WHERE family IN ('EDRS_SESSION', 'SESSION_RETRANSFER')")  # noqa: S608
    op.drop_index("ix_stored_file_name", "stored_file", schema=SCHEMA)
    op.drop_constraint("stored_file_pkey", "stored_file", schema=SCHEMA)
    op.create_primary_key("stored_file_pkey", "stored_file", ["name"], schema=SCHEMA)
    op.execute(
        f"DELETE FROM {SCHEMA}.inbox_entry WHERE session IS NOT NULL OR size IS NULL OR state = 'FILTERED'"  # noqa: S608
    )
    _states("")
    for column in ("path", "session", "station_code", "priority"):
        op.drop_column("inbox_entry", column, schema=SCHEMA)
    op.alter_column("inbox_entry", "size", nullable=False, schema=SCHEMA)


def _states(more: str) -> None:
    name = op.f("ck_inbox_entry_state")
    op.drop_constraint(name, "inbox_entry", schema=SCHEMA)
    op.create_check_constraint(name, "inbox_entry", STATES.format(more=more), schema=SCHEMA)
