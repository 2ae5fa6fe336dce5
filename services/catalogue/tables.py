"""Tables of the schema `catalogue`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base, Geometry

SCHEMA = "catalogue"

VALID = "VALID"
INVALID = "INVALID"  # metadata unreadable; the reason says why, the same catalogue job again tries again

Time = DateTime(timezone=True)


class Product(Base):
    """A product in the object store, with what its metadata says."""

    __tablename__ = "product"
    __table_args__ = (
        CheckConstraint("state in ('VALID', 'INVALID')", name="state"),
        CheckConstraint("state = 'INVALID' or (content_start is not null and content_end is not null)", name="period"),
        Index("ix_product_mission_period", "mission", "content_start", "content_end"),
        Index("ix_product_footprint", "footprint", postgresql_using="gist"),
        {"schema": SCHEMA},
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    family: Mapped[str] = mapped_column(Text)
    mission: Mapped[str] = mapped_column(Text)
    satellite: Mapped[str] = mapped_column(Text)
    product_type: Mapped[str] = mapped_column(Text)
    station: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    checksums: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    bucket: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    content_start: Mapped[datetime | None] = mapped_column(Time)
    content_end: Mapped[datetime | None] = mapped_column(Time)
    attributes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    footprint: Mapped[str | None] = mapped_column(Geometry)
    trace: Mapped[dict[str, Any]] = mapped_column(JSONB)
    additional_fields: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    created: Mapped[datetime] = mapped_column(Time, server_default=func.now())
    modified: Mapped[datetime] = mapped_column(Time, server_default=func.now())
