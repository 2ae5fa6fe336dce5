"""Tables of the CADIP in the schema `distribution` (migration 0007)."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from refsys.services.common.database import Base

SCHEMA = "distribution"
_MOMENT = DateTime(timezone=True)

TEXTS = ("acquisition_id", "antenna_id", "front_end_id")
STATUSES = ("antenna_status_ok", "front_end_status_ok", "downlink_status_ok", "delivery_push_ok")
PLANS = ("planned_data_start", "planned_data_stop")
FRAMES = (
    "acquired_tfs",
    "error_tfs",
    "corrected_tfs",
    "uncorrectable_tfs",
    "data_tfs",
    "error_data_tfs",
    "corrected_data_tfs",
    "uncorrectable_data_tfs",
)

session = Table(
    "session",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("session_id", Text(collation="C"), nullable=False),
    Column("retransfer", Boolean, nullable=False),
    Column("num_channels", Integer, nullable=False),
    # Unique in milliseconds and rising in commit order: the cursor of every client.
    Column("publication_date", _MOMENT, nullable=False, unique=True),
    Column("satellite", Text, nullable=False),
    Column("station_unit_id", Text, nullable=False),
    Column("station_id", Text, nullable=False),
    Column("downlink_orbit", Integer, nullable=False),
    *(Column(name, Text) for name in TEXTS),
    *(Column(name, Boolean) for name in STATUSES),
    *(Column(name, _MOMENT) for name in PLANS),
    Column("downlink_start", _MOMENT, nullable=False),
    Column("downlink_stop", _MOMENT, nullable=False),
    schema=SCHEMA,
)

# Which block of a channel is the last, as its DSIB says; perhaps before the block is there.
session_end = Table(
    "session_end",
    Base.metadata,
    Column("session", Uuid, primary_key=True),
    Column("channel", Integer, primary_key=True),
    Column("last_block", Text(collation="C"), nullable=False),
    schema=SCHEMA,
)

session_file = Table(
    "session_file",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("session", Uuid, nullable=False),
    Column("session_id", Text(collation="C"), nullable=False),
    Column("name", Text(collation="C"), nullable=False),
    Column("channel", Integer, nullable=False),
    Column("block_number", Integer, nullable=False),
    Column("final_block", Boolean, nullable=False),
    Column("retransfer", Boolean, nullable=False),
    Column("publication_date", _MOMENT, nullable=False, unique=True),
    Column("eviction_date", _MOMENT, nullable=False),
    Column("content_length", BigInteger, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("checksums", JSONB, nullable=False),
    Column("mission", Text, nullable=False),
    Column("bucket", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    schema=SCHEMA,
)

session_quality = Table(
    "session_quality",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("session", Uuid, nullable=False),
    Column("session_id", Text(collation="C"), nullable=False),
    Column("channel", Integer, nullable=False),
    # Counters of transfer frames: the station's knowledge, unknown (null) unless it came along.
    *(Column(name, BigInteger) for name in FRAMES),
    Column("delivery_start", _MOMENT, nullable=False),
    Column("delivery_stop", _MOMENT, nullable=False),
    Column("total_chunks", Integer, nullable=False),
    Column("total_volume", BigInteger, nullable=False),
    schema=SCHEMA,
)
