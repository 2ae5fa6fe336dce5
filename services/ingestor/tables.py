"""The table of the schema `ingestor`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Text, Uuid, func, text
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base

SCHEMA = "ingestor"

RECEIVING = "RECEIVING"  # bytes are still to come
CHECKING = "CHECKING"  # complete; checksum and format are looked at
SCANNING = "SCANNING"  # waits for the virus scan, or for the object store
ACCEPTED = "ACCEPTED"  # handed to the ingestion, whose tables tell the rest
REFUSED = "REFUSED"  # the reason says why; also withdrawn and expired uploads
OPEN = (RECEIVING, CHECKING, SCANNING)  # the bytes lie on the volume

Time = DateTime(timezone=True)


class Upload(Base):
    """An upload and how far it came here; what follows is in the tables of ingestion, catalogue and distribution."""

    __tablename__ = "upload"
    __table_args__ = (
        CheckConstraint("state in ('RECEIVING', 'CHECKING', 'SCANNING', 'ACCEPTED', 'REFUSED')", name="state"),
        Index("ix_upload_user_name", "user_name", "created"),
        Index("ix_upload_open", "state", postgresql_where=text("state in ('RECEIVING', 'CHECKING', 'SCANNING')")),
        Index("ix_upload_staged", "accepted", postgresql_where=text("state = 'ACCEPTED' and unstaged is null")),
        {"schema": SCHEMA},
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    user_name: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    algorithm: Mapped[str] = mapped_column(Text)
    checksum: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    attempts: Mapped[int] = mapped_column(server_default="0")
    retry_at: Mapped[datetime | None] = mapped_column(Time)
    expires: Mapped[datetime] = mapped_column(Time)
    # When it reached each step.
    created: Mapped[datetime] = mapped_column(Time, server_default=func.now())
    received: Mapped[datetime | None] = mapped_column(Time)
    checked: Mapped[datetime | None] = mapped_column(Time)
    accepted: Mapped[datetime | None] = mapped_column(Time)
    refused: Mapped[datetime | None] = mapped_column(Time)
    # When its object was removed from the bucket that hands it over.
    unstaged: Mapped[datetime | None] = mapped_column(Time)
