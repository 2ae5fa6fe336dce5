"""What is written down of compression jobs, on a connection that holds the lock of the output's path."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.messages import Checksum, CompressionJob, utc_now
from refsys.services.compression.tables import DONE, FAILED, RUNNING, WAITING, Job

WAIT_LIMIT = timedelta(hours=24)
WAIT_PAUSE = timedelta(seconds=60)
_table = Job.__table__


def find(connection: Connection, output_path: str) -> RowMapping | None:
    """The job that makes an output."""
    statement = select(_table).where(Job.output_path == output_path)
    return connection.execute(statement).mappings().one_or_none()


def start(connection: Connection, job: CompressionJob, output_path: str, topic: str) -> RowMapping:
    """Record that work on a job begins; begun before, the attempts are counted on."""
    now = utc_now()
    values: dict[str, Any] = {
        "output_path": output_path,
        "source_path": job.storage_path,
        "source_size": job.product_size_byte,
        "topic": topic,
        "message": job.model_dump(mode="json", by_alias=True),
        "state": RUNNING,
        "reason": "",
        "attempts": 1,
        "first_started": now,
        "started": now,
        "finished": None,
        "retry_at": None,
    }
    statement = insert(Job).values(values)
    changing = {name: statement.excluded[name] for name in values if name not in ("output_path", "first_started")}
    statement = statement.on_conflict_do_update(
        index_elements=[Job.output_path], set_=changing | {"attempts": Job.attempts + 1}
    )
    return connection.execute(statement.returning(*_table.columns)).mappings().one()


def done(connection: Connection, output_path: str, size: int, checksums: Sequence[Checksum]) -> RowMapping:
    """Record the output of a job: its size in bytes and its checksums."""
    values = {
        "state": DONE,
        "size": size,
        "checksums": [each.model_dump(mode="json") for each in checksums],
        "finished": utc_now(),
    }
    statement = update(Job).where(Job.output_path == output_path).values(values).returning(*_table.columns)
    return connection.execute(statement).mappings().one()


def failed(connection: Connection, output_path: str, reason: str) -> None:
    """Record why there is no output."""
    values = {"state": FAILED, "reason": reason, "finished": utc_now(), "retry_at": None}
    connection.execute(update(Job).where(Job.output_path == output_path).values(values))


def waiting(connection: Connection, output_path: str, reason: str) -> None:
    """Record what a job waits for, to be queued again in a while."""
    values = {"state": WAITING, "reason": reason, "retry_at": utc_now() + WAIT_PAUSE}
    connection.execute(update(Job).where(Job.output_path == output_path).values(values))


def take_due(engine: Engine) -> list[tuple[str, CompressionJob]]:
    """Topics and jobs that have waited long enough; they come up again if they are not begun meanwhile."""
    due = select(Job.output_path).where(Job.state == WAITING, Job.retry_at <= func.now()).limit(100)
    with engine.begin() as connection:
        statement = (
            update(Job)
            .where(Job.output_path.in_(due.with_for_update(skip_locked=True).scalar_subquery()))
            .values(retry_at=utc_now() + WAIT_PAUSE)
            .returning(Job.topic, Job.message)
        )
        return [(row.topic, CompressionJob.model_validate(row.message)) for row in connection.execute(statement)]
