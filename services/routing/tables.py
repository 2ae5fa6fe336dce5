"""The table `routing.transfer`: each version of each file, and what became of it."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Identity, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base

SCHEMA = "routing"

PENDING = "PENDING"  # seen at the source; tried when retry_at has come
RUNNING = "RUNNING"  # on its way
DONE = "DONE"  # at the target, with the same checksum
FAILED = "FAILED"  # the reason says why; an operator may have it tried again
STATES = (PENDING, RUNNING, DONE, FAILED)

Time = DateTime(timezone=True)


class Transfer(Base):
    """A version of a file (path, size in bytes, time of modification) that a rule sends from source to target."""

    __tablename__ = "transfer"
    __table_args__ = (
        UniqueConstraint("rule", "source", "target", "path", "size", "modified"),
        CheckConstraint("state in ('PENDING', 'RUNNING', 'DONE', 'FAILED')", name="state"),
        Index("ix_transfer_due", "rule", "retry_at", postgresql_where=text("state in ('PENDING', 'RUNNING')")),
        Index("ix_transfer_state", "state", "id"),
        {"schema": SCHEMA},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    rule: Mapped[str] = mapped_column(Text)
    path: Mapped[str] = mapped_column(Text(collation="C"))
    source: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    modified: Mapped[datetime] = mapped_column(Time)
    hash_algorithm: Mapped[str | None] = mapped_column(Text)
    hash: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    attempts: Mapped[int] = mapped_column(server_default="0")
    seen: Mapped[datetime] = mapped_column(Time)
    started: Mapped[datetime | None] = mapped_column(Time)
    finished: Mapped[datetime | None] = mapped_column(Time)
    retry_at: Mapped[datetime | None] = mapped_column(Time)
