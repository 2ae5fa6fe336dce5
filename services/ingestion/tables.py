"""Tables of the schema `ingestion`."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base

SCHEMA = "ingestion"

QUEUED = "QUEUED"  # a job is on its way to a worker
RETRY = "RETRY"  # failed; queued again when retry_at has come
STORED = "STORED"  # in the object store
QUARANTINED = "QUARANTINED"  # not taken; the reason says why
FILTERED = "FILTERED"  # of a session outside the sampling windows, not fetched

OPEN = "OPEN"  # a session of which files are still to come
DONE = "DONE"  # all its channels are complete
INCOMPLETE = "INCOMPLETE"  # given up: older than the station's history

Time = DateTime(timezone=True)


class StationCursor(Base):
    """How far a station was read: the greatest PublicationDate, by the station's clock."""

    __tablename__ = "station_cursor"
    __table_args__ = ({"schema": SCHEMA},)

    station: Mapped[str] = mapped_column(Text, primary_key=True)
    publication_date: Mapped[datetime] = mapped_column(Time)
    updated: Mapped[datetime] = mapped_column(Time, server_default=func.now())


class InboxEntry(Base):
    """A file seen at a station, and what became of it.

    To have a quarantined or filtered file fetched (again), set its state to `RETRY` and `retry_at` to now.
    """

    __tablename__ = "inbox_entry"
    __table_args__ = (
        UniqueConstraint("station", "product_id"),
        CheckConstraint("state in ('QUEUED', 'RETRY', 'STORED', 'QUARANTINED', 'FILTERED')", name="state"),
        Index("ix_inbox_entry_retry", "station", "retry_at", postgresql_where=text("state = 'RETRY'")),
        Index("ix_inbox_entry_name", "name"),
        Index("ix_inbox_entry_seen", "seen", postgresql_using="brin"),
        Index(
            "ix_inbox_entry_session",
            "station",
            text("(session ->> 'session_id')"),
            postgresql_where=text("session is not null"),
        ),
        {"schema": SCHEMA},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    station: Mapped[str] = mapped_column(Text)
    product_id: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text, server_default="")
    size: Mapped[int | None] = mapped_column(BigInteger)
    checksums: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    publication_date: Mapped[datetime] = mapped_column(Time)
    session: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    family: Mapped[str] = mapped_column(Text)
    mission: Mapped[str] = mapped_column(Text)
    station_code: Mapped[str] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(server_default="0")
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    attempts: Mapped[int] = mapped_column(server_default="0")
    retry_at: Mapped[datetime | None] = mapped_column(Time)
    seen: Mapped[datetime] = mapped_column(Time)
    updated: Mapped[datetime] = mapped_column(Time, server_default=func.now())


class StoredFile(Base):
    """A file in the object store: what idempotence on (place, size, checksum) is judged by."""

    __tablename__ = "stored_file"
    __table_args__ = (Index("ix_stored_file_name", "name"), {"schema": SCHEMA})

    storage_path: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    checksums: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    family: Mapped[str] = mapped_column(Text)
    mission: Mapped[str] = mapped_column(Text)
    station: Mapped[str] = mapped_column(Text)
    publication_date: Mapped[datetime] = mapped_column(Time)
    seen: Mapped[datetime] = mapped_column(Time)
    stored: Mapped[datetime] = mapped_column(Time)


class Quarantine(Base):
    """A file that was not taken, for the operator to judge."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("station", "product_id"), {"schema": SCHEMA})

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    station: Mapped[str] = mapped_column(Text)
    product_id: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column()
    first_seen: Mapped[datetime] = mapped_column(Time)
    last_seen: Mapped[datetime] = mapped_column(Time)


class DownlinkSession(Base):
    """A downlink session; `source_id` is the Id of its newest entity, of a tree station one made of its name."""

    __tablename__ = "downlink_session"
    __table_args__ = (
        CheckConstraint("state in ('OPEN', 'DONE', 'INCOMPLETE')", name="state"),
        Index("ix_downlink_session_state", "station", "state", "completed"),
        {"schema": SCHEMA},
    )

    station: Mapped[str] = mapped_column(Text, primary_key=True)
    session_id: Mapped[str] = mapped_column(Text, primary_key=True)
    source_id: Mapped[str] = mapped_column(Text)
    satellite: Mapped[str] = mapped_column(Text)
    num_channels: Mapped[int] = mapped_column()
    publication_date: Mapped[datetime] = mapped_column(Time)
    downlink_start: Mapped[datetime | None] = mapped_column(Time)
    downlink_stop: Mapped[datetime | None] = mapped_column(Time)
    properties: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text)
    completed: Mapped[datetime | None] = mapped_column(Time)
    seen: Mapped[datetime] = mapped_column(Time, server_default=func.now())
    updated: Mapped[datetime] = mapped_column(Time, server_default=func.now())


class SessionChannel(Base):
    """A complete channel of a session, with the DSIB made for it (None where the station delivers one)."""

    __tablename__ = "session_channel"
    __table_args__ = ({"schema": SCHEMA},)

    station: Mapped[str] = mapped_column(Text, primary_key=True)
    session_id: Mapped[str] = mapped_column(Text, primary_key=True)
    channel: Mapped[int] = mapped_column(primary_key=True)
    retransfer: Mapped[bool] = mapped_column(primary_key=True)
    files: Mapped[int] = mapped_column()
    size: Mapped[int] = mapped_column(BigInteger)
    last_publication: Mapped[datetime] = mapped_column(Time)
    dsib_name: Mapped[str | None] = mapped_column(Text)
    dsib: Mapped[str | None] = mapped_column(Text)
    quality: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    completed: Mapped[datetime] = mapped_column(Time, server_default=func.now())
