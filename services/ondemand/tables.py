"""Tables of orders, in the schema `production`: what users ordered, and of which of it something changed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Identity, Index, Text, UniqueConstraint, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base
from refsys.services.production.tables import SCHEMA

Time = DateTime(timezone=True)


class OrderRequest(Base):
    """An order: its state is that of its jobs (`production.job.request_id`), and is written down nowhere.

    `key` is the `Idempotency-Key` that it came with. `success`, `in_progress` and `failed` are endpoints of the
    schema `delivery`; `told` is the last state that was told to them.
    """

    __tablename__ = "ondemand_request"
    __table_args__ = (
        UniqueConstraint("owner", "key"),
        Index("ix_ondemand_request_owner_created", "owner", "created"),
        {"schema": SCHEMA},
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    process: Mapped[str] = mapped_column(Text)
    inputs: Mapped[dict[str, Any]] = mapped_column(JSONB)
    key: Mapped[str | None] = mapped_column(Text)
    success: Mapped[UUID | None] = mapped_column(Uuid)
    in_progress: Mapped[UUID | None] = mapped_column(Uuid)
    failed: Mapped[UUID | None] = mapped_column(Uuid)
    told: Mapped[str] = mapped_column(Text, server_default="")
    created: Mapped[datetime] = mapped_column(Time, server_default=func.now())
    dismissed: Mapped[datetime | None] = mapped_column(Time)


class OrderChange(Base):
    """A job of an order with a subscriber changed: written by a trigger, in the transaction of the change."""

    __tablename__ = "ondemand_change"
    __table_args__ = ({"schema": SCHEMA},)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    request_id: Mapped[UUID] = mapped_column(Uuid)
    moment: Mapped[datetime] = mapped_column(Time, server_default=func.now())
