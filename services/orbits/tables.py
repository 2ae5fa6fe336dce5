"""The tables of what was read, the same for each application: in its own schema, the first of its search path."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Index, LargeBinary, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base

Time = DateTime(timezone=True)


class Cursor(Base):
    """How far the AUXIP was read: the PublicationDate up to which everything is known."""

    __tablename__ = "reading_cursor"

    source: Mapped[str] = mapped_column(Text, primary_key=True)
    published: Mapped[datetime] = mapped_column(Time)


class ReadFile(Base):
    """A file that was read, or can't be (`reason`); its content is in the other tables."""

    __tablename__ = "read_file"
    __table_args__ = (Index("ix_read_file_kind", "kind", "satellite", "stop"),)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    satellite: Mapped[str] = mapped_column(Text, server_default="")
    station: Mapped[str] = mapped_column(Text, server_default="")
    start: Mapped[datetime | None] = mapped_column(Time)
    stop: Mapped[datetime | None] = mapped_column(Time)
    created: Mapped[datetime | None] = mapped_column(Time)
    published: Mapped[datetime] = mapped_column(Time)
    reason: Mapped[str] = mapped_column(Text, server_default="")


class OrbitStates(Base):
    """The state vectors of an orbit file."""

    __tablename__ = "orbit_states"

    file_name: Mapped[str] = mapped_column(ForeignKey(ReadFile.name, ondelete="CASCADE"), primary_key=True)
    rank: Mapped[int] = mapped_column()
    states: Mapped[bytes] = mapped_column(LargeBinary)


class PlannedAcquisition(Base):
    """An acquisition of a mission plan."""

    __tablename__ = "planned_acquisition"
    __table_args__ = (Index("ix_planned_acquisition_start", "start"),)

    file_name: Mapped[str] = mapped_column(ForeignKey(ReadFile.name, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    satellite: Mapped[str] = mapped_column(Text)
    datatake: Mapped[str] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(Text)
    polarisation: Mapped[str] = mapped_column(Text)
    start: Mapped[datetime] = mapped_column(Time)
    stop: Mapped[datetime] = mapped_column(Time)
    orbit: Mapped[int | None] = mapped_column()
    footprint: Mapped[Any] = mapped_column(JSONB)


class StationContact(Base):
    """A contact of a station's plan, or of its report."""

    __tablename__ = "station_contact"
    __table_args__ = (Index("ix_station_contact_start", "start"),)

    file_name: Mapped[str] = mapped_column(ForeignKey(ReadFile.name, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    satellite: Mapped[str] = mapped_column(Text)
    station: Mapped[str] = mapped_column(Text)
    antenna: Mapped[str] = mapped_column(Text)
    start: Mapped[datetime] = mapped_column(Time)
    stop: Mapped[datetime] = mapped_column(Time)
    orbit: Mapped[int | None] = mapped_column()
    received: Mapped[bool] = mapped_column()
