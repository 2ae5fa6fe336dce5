"""Tables of the schema `compression`."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base

SCHEMA = "compression"

RUNNING = "RUNNING"
WAITING = "WAITING"  # for the other file of a pair; queued again when retry_at has come
DONE = "DONE"
FAILED = "FAILED"  # the reason says why; the job lies in `error-warning`

Time = DateTime(timezone=True)


class Job(Base):
    """A compression job by the path of its output, and what became of it; sizes in bytes."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("state in ('RUNNING', 'WAITING', 'DONE', 'FAILED')", name="state"),
        Index("ix_job_waiting", "retry_at", postgresql_where=text("state = 'WAITING'")),
        {"schema": SCHEMA},
    )

    output_path: Mapped[str] = mapped_column(Text, primary_key=True)
    source_path: Mapped[str] = mapped_column(Text)
    source_size: Mapped[int] = mapped_column(BigInteger)
    topic: Mapped[str] = mapped_column(Text)
    message: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    attempts: Mapped[int] = mapped_column(server_default="0")
    size: Mapped[int | None] = mapped_column(BigInteger)
    checksums: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    first_started: Mapped[datetime] = mapped_column(Time)
    started: Mapped[datetime] = mapped_column(Time)
    finished: Mapped[datetime | None] = mapped_column(Time)
    retry_at: Mapped[datetime | None] = mapped_column(Time)
