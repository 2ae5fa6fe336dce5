"""The tables of what is read, as an application's first revision makes them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

TIME = sa.DateTime(timezone=True)


def create() -> None:
    """Make them in the first schema of the search path."""
    op.create_table(
        "reading_cursor",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("published", TIME, nullable=False),
    )
    op.create_table(
        "read_file",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("satellite", sa.Text, nullable=False, server_default=""),
        sa.Column("station", sa.Text, nullable=False, server_default=""),
        sa.Column("start", TIME),
        sa.Column("stop", TIME),
        sa.Column("created", TIME),
        sa.Column("published", TIME, nullable=False),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("ix_read_file_kind", "read_file", ["kind", "satellite", "stop"])
    op.create_table(
        "orbit_states",
        _file_name(),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("states", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "planned_acquisition",
        _file_name(),
        sa.Column("number", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("satellite", "datatake", "mode", "polarisation")),
        sa.Column("start", TIME, nullable=False),
        sa.Column("stop", TIME, nullable=False),
        sa.Column("orbit", sa.Integer),
        sa.Column("footprint", postgresql.JSONB, nullable=False),
    )
    op.create_index("ix_planned_acquisition_start", "planned_acquisition", ["start"])
    op.create_table(
        "station_contact",
        _file_name(),
        sa.Column("number", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("satellite", "station", "antenna")),
        sa.Column("start", TIME, nullable=False),
        sa.Column("stop", TIME, nullable=False),
        sa.Column("orbit", sa.Integer),
        sa.Column("received", sa.Boolean, nullable=False),
    )
    op.create_index("ix_station_contact_start", "station_contact", ["start"])


def _file_name() -> sa.Column[str]:
    return sa.Column("file_name", sa.Text, sa.ForeignKey("read_file.name", ondelete="CASCADE"), primary_key=True)
