"""The table `production.execution`: where an execution job is in the cluster, and what operators want of it."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, DateTime, ForeignKey, Select, Text, Uuid, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base
from refsys.services.production.tables import SCHEMA, Job

CHANNEL = "execution"
"""Of PostgreSQL's notifications: the id of a job that the process `execution` gets or loses, or that is to be held."""


class Phase(StrEnum):
    """Where a job that Kafka has is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"


class Execution(Base):
    """A job in the cluster; `detail` says why it is where it is, `hold` that it must not run.

    Of its last attempt `products` are the names of what it made, and `measures` what it used.
    """

    __tablename__ = "execution"
    __table_args__ = ({"schema": SCHEMA},)

    job_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey(Job.id, ondelete="CASCADE"), primary_key=True)
    phase: Mapped[str] = mapped_column(Text, server_default=Phase.QUEUED)
    detail: Mapped[str] = mapped_column(Text, server_default="")
    products: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    node: Mapped[str] = mapped_column(Text, server_default="")
    hold: Mapped[bool] = mapped_column(Boolean, server_default="false")
    started: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    measures: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    changed: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


def with_execution(*columns: Any) -> Select[Any]:
    """Select columns of jobs and of where they are in the cluster, if they were there."""
    return select(*columns).join_from(Job, Execution, Execution.job_id == Job.id, isouter=True)
