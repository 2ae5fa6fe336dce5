"""Tables of the schema `catalogue`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, Index, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base, Geometry

SCHEMA = "catalogue"

VALID = "VALID"
LOST = "LOST"  # the object is gone or has another size; set by the reconciliation, the reason says why
INVALID = "INVALID"  # metadata unreadable; the reason says why, the same catalogue job again tries again

Time = DateTime(timezone=True)


class Product(Base):
    """A product in the object store, with what its metadata says."""

    __tablename__ = "product"
    __table_args__ = (
        CheckConstraint("state in ('VALID', 'INVALID', 'LOST')", name="state"),
        CheckConstraint("state = 'INVALID' or (content_start is not null and content_end is not null)", name="period"),
        Index("ix_product_mission_period", "mission", "content_start", "content_end"),
        Index("ix_product_footprint", "footprint", postgresql_using="gist"),
        Index("ix_product_type_start", "product_type", "content_start"),
        Index("ix_product_type_end", "product_type", "content_end"),
        Index("ix_product_type_orbit", "product_type", "orbit_start"),
        Index("ix_product_family_created", "family", "created"),
        Index("ix_product_datatake_id", "datatake_id", postgresql_where=text("datatake_id is not null")),
        Index("ix_product_session_id", "session_id", postgresql_where=text("session_id is not null")),
        Index(
            "ix_product_period",
            text("tstzrange(content_start, content_end, '[]')"),
            postgresql_using="gist",
            postgresql_where=text("state = 'VALID'"),
        ),
        Index(
            "ix_product_attributes",
            "attributes",
            postgresql_using="gin",
            postgresql_ops={"attributes": "jsonb_path_ops"},
        ),
        Index("ix_product_invalid", "created", postgresql_where=text("state = 'INVALID'")),
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
    # What searches select by, taken out of the attributes, the details or the name.
    generated: Mapped[datetime | None] = mapped_column(Time)
    timeliness: Mapped[str] = mapped_column(Text, server_default="")
    datatake_id: Mapped[int | None] = mapped_column(BigInteger)
    orbit_start: Mapped[int | None] = mapped_column(BigInteger)
    orbit_end: Mapped[int | None] = mapped_column(BigInteger)
    session_id: Mapped[str | None] = mapped_column(Text)
    # What is no attribute of the PRIP: channel and blocks of a session, packet stores, granule and dump.
    details: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
