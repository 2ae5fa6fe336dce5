"""The tables of plans and their files, in the application's own schema."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base

Time = DateTime(timezone=True)

WRITTEN = "WRITTEN"  # nobody published it yet
WAITING = "WAITING"  # to be uploaded
UPLOADED = "UPLOADED"  # with the ingestor
PUBLISHED = "PUBLISHED"  # comes out of the AUXIP
REFUSED = "REFUSED"  # the reason says why
OPEN = (WAITING, UPLOADED)


class Plan(Base):
    """A plan: who made it and why, of what, and what was decided. It never changes; `published` says that it counts."""

    __tablename__ = "plan"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created: Mapped[datetime] = mapped_column(Time, unique=True)
    author: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    start: Mapped[datetime] = mapped_column(Time)
    stop: Mapped[datetime] = mapped_column(Time)
    rules: Mapped[Any] = mapped_column(JSONB)
    inputs: Mapped[Any] = mapped_column(JSONB)
    decisions: Mapped[Any] = mapped_column(JSONB)
    warnings: Mapped[Any] = mapped_column(JSONB)
    publisher: Mapped[str] = mapped_column(Text, server_default="")
    publish_reason: Mapped[str] = mapped_column(Text, server_default="")
    published: Mapped[datetime | None] = mapped_column(Time)


class PlanFile(Base):
    """A plan file, and how far its publication came."""

    __tablename__ = "plan_file"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[int] = mapped_column(ForeignKey(Plan.version, ondelete="CASCADE"), index=True)
    satellite: Mapped[str] = mapped_column(Text)
    station: Mapped[str] = mapped_column(Text)
    contacts: Mapped[int] = mapped_column()
    content: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    upload: Mapped[str] = mapped_column(Text, server_default="")
    product: Mapped[str] = mapped_column(Text, server_default="")
    changed: Mapped[datetime] = mapped_column(Time, server_default=func.now())
