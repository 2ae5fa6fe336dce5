"""Tables of the schema `production`: jobs, what they wait for, and chains that operators added."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSTZRANGE, Range
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base
from refsys.services.common.messages import iso, utc_now
from refsys.services.production.states import Cause, Generation, Outcome, State

SCHEMA = "production"
CHANNEL = "production"
"""Of PostgreSQL's notifications: something was changed that the process `preparation` has to look at."""

REASON_LIMIT = 2000

Time = DateTime(timezone=True)


def _one_of(column: str, values: type[State] | type[Generation] | type[Outcome]) -> CheckConstraint:
    return CheckConstraint(f"{column} in ({', '.join(repr(str(each)) for each in values)})", name=column)


class Job(Base):
    """A job of a task table; a retry is the same row with the next `attempt`, and `past` tells of those before.

    `trigger` says what made it, and is there once for a task table; `request_id` is the user's order that it belongs
    to (`refsys.services.ondemand`). `facts` is what is known of it
    (`refsys.services.preparation.facts`), `reason` a sentence for operators, `waits_for` the inputs that are not there,
    `due` when something is decided without them, `since` when this attempt began to wait, `order` the execution job.
    """

    __tablename__ = "job"
    __table_args__ = (
        _one_of("state", State),
        _one_of("generation", Generation),
        _one_of("outcome", Outcome),
        UniqueConstraint("chain", "task_table", "trigger"),
        Index("ix_job_due", "due", postgresql_where=text("state = 'WAITING'")),
        Index("ix_job_open", "state", "priority", "changed", postgresql_where=text("state <> 'TERMINATED'")),
        Index("ix_job_changed", "changed"),
        Index("ix_job_request_id", "request_id", postgresql_where=text("request_id is not null")),
        {"schema": SCHEMA},
    )

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    chain: Mapped[str] = mapped_column(Text)
    task_table: Mapped[str] = mapped_column(Text)
    mission: Mapped[str] = mapped_column(Text)
    satellite: Mapped[str] = mapped_column(Text)
    timeliness: Mapped[str] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(Integer)
    request_id: Mapped[UUID | None] = mapped_column(Uuid)
    trigger: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    start_time: Mapped[datetime] = mapped_column(Time)
    stop_time: Mapped[datetime] = mapped_column(Time)
    t0_pdgs: Mapped[datetime | None] = mapped_column(Time)
    state: Mapped[str] = mapped_column(Text)
    generation: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, server_default="")
    waits_for: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    due: Mapped[datetime | None] = mapped_column(Time)
    order: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    attempt: Mapped[int] = mapped_column(Integer, server_default="0")
    past: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    created: Mapped[datetime] = mapped_column(Time, server_default=func.now())
    since: Mapped[datetime] = mapped_column(Time, server_default=func.now())
    changed: Mapped[datetime] = mapped_column(Time, server_default=func.now())


def ended(outcome: Outcome, reason: str) -> dict[str, Any]:
    """Return the values of a job that is over."""
    return {
        "state": State.TERMINATED,
        "generation": Generation.END,
        "outcome": outcome,
        "reason": reason[:REASON_LIMIT],
        "waits_for": [],
        "due": None,
        "changed": func.now(),
    }


def past_with(attempt: int, cause: Cause, reason: str) -> Any:
    """The value of `past` when another attempt follows this one."""
    entry = {"attempt": attempt, "cause": cause, "reason": reason[:REASON_LIMIT], "ended": iso(utc_now())}
    return Job.past.op("||")(literal([entry], JSONB))


def tries(past: Iterable[Mapping[str, Any]], *causes: Cause) -> int:
    """How many attempts ended so since the job was made, or an operator began it anew."""
    count = 0
    for each in past:
        count = 0 if each["cause"] == Cause.OPERATOR else count + (each["cause"] in causes)
    return count


class OpenInput(Base):
    """A product that a waiting job could use, one row an alternative of an input that is not there yet.

    `covers`: only one that is valid in the whole `period` helps; `key` is the session or data take that it must
    belong to, where the input is made of one; before `useful` it helps nothing, as a better one is waited for.
    """

    __tablename__ = "open_input"
    __table_args__ = (
        Index("ix_open_input_use", "product_type", "satellite", "period", postgresql_using="gist"),
        {"schema": SCHEMA},
    )

    job_id: Mapped[UUID] = mapped_column(Uuid, ForeignKey(Job.id, ondelete="CASCADE"), primary_key=True)
    input: Mapped[int] = mapped_column(Integer, primary_key=True)
    alternative: Mapped[int] = mapped_column(Integer, primary_key=True)
    product_type: Mapped[str] = mapped_column(Text)
    satellite: Mapped[str] = mapped_column(Text(collation="C"))
    period: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    covers: Mapped[bool] = mapped_column(Boolean)
    key: Mapped[str | None] = mapped_column(Text)
    useful: Mapped[datetime | None] = mapped_column(Time)


class AddedChain(Base):
    """A chain that an operator added, as the file was; one of the name of a shipped chain stands in its place."""

    __tablename__ = "chain"
    __table_args__ = ({"schema": SCHEMA},)

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    document: Mapped[str] = mapped_column(Text)
    operator_name: Mapped[str] = mapped_column(Text)
    added: Mapped[datetime] = mapped_column(Time, server_default=func.now())
