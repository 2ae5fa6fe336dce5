"""Tables of the schema `dead_letters`: one row a failed message, and the failures that were seen."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, Sequence, Table, Text, UniqueConstraint, Uuid, func

from refsys.services.common.database import Base

SCHEMA = "dead_letters"

PARKED = "PARKED"  # in the parking lot, until an operator or age decides
RESTARTING = "RESTARTING"  # to be sent when it is due
SENDING = "SENDING"  # in a batch; whether it was sent, Kafka knows
RESTARTED = "RESTARTED"  # sent; should it fail again, the same row counts it

Time = DateTime(timezone=True)

failed_processing = Table(
    "failed_processing",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("uid", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("mission_id", Text, nullable=False),
    Column("error_level", Text, nullable=False),
    Column("failure_date", Time, nullable=False),
    Column("first_failure_date", Time, nullable=False),
    Column("failure_message", Text, nullable=False),
    Column("stacktrace", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("retry_counter", Integer, nullable=False),
    Column("occurrences", Integer, nullable=False, server_default="1"),
    Column("rule", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False),
    Column("due", Time),
    Column("target_topic", Text, nullable=False, server_default=""),
    Column("outgoing", Text, nullable=False, server_default=""),
    Column("batch", BigInteger),
    Column("operator_name", Text, nullable=False, server_default=""),
    Column("updated", Time, nullable=False, server_default=func.now()),
    UniqueConstraint("topic", "uid"),
    schema=SCHEMA,
)

# A record of a topic fails once: the same failure reported again is not another one.
failure = Table(
    "failure",
    Base.metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("record_offset", BigInteger, primary_key=True),
    Column("uid", Text, primary_key=True),
    Column("seen", Time, nullable=False, server_default=func.now()),
    schema=SCHEMA,
)

restart_batch = Sequence("restart_batch", schema=SCHEMA)
