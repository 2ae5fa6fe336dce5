"""What operators do with failed messages: look, delete, restart, resubmit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, RowMapping, delete, func, or_, select, update

from refsys.services.common.messages import CATALOG_JOB, RESTART, RESUBMIT
from refsys.services.dead_letters.letters import again, allowed_actions, catalog_job, ingested_file
from refsys.services.dead_letters.tables import PARKED, RESTARTED, RESTARTING, failed_processing
from refsys.services.ingestion.tables import QUEUED, RETRY, InboxEntry


class UnknownError(Exception):
    """No such message is in the parking lot."""


class NotAllowedError(Exception):
    """The message does not allow what was asked; the text says why."""


@dataclass(frozen=True)
class Selection:
    """Conditions of a query, all of which must hold; None asks nothing."""

    mission: str | None = None
    topic: str | None = None
    level: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    """A part of the failure message or of the product's name."""


def search(engine: Engine, selection: Selection, page: int, size: int) -> Sequence[RowMapping]:
    """Return one page of the parking lot, the latest failure first."""
    order = (failed_processing.c.failure_date.desc(), failed_processing.c.id)
    statement = select(failed_processing).where(*_conditions(selection)).order_by(*order)
    with engine.connect() as connection:
        return connection.execute(statement.offset(page * size).limit(size)).mappings().all()


def count(engine: Engine, selection: Selection) -> int:
    """Return how many messages of the parking lot satisfy a selection."""
    statement = select(func.count()).select_from(failed_processing).where(*_conditions(selection))
    with engine.connect() as connection:
        return connection.execute(statement).scalar_one()


def find(engine: Engine, identifier: UUID) -> RowMapping:
    """Return a message of the parking lot; `UnknownError` if there is none."""
    with engine.connect() as connection:
        return _find(connection, identifier)


def remove(engine: Engine, identifier: UUID, _operator: str) -> None:
    """Remove a message from the parking lot for good."""
    with engine.begin() as connection:
        _find(connection, identifier, lock=True)
        connection.execute(delete(failed_processing).where(failed_processing.c.id == identifier))


def restart(engine: Engine, identifier: UUID, operator: str) -> None:
    """Have the message sent to its topic again; the `dlq` process does so within seconds."""
    with engine.begin() as connection:
        row = _find(connection, identifier, lock=True)
        _check(row, RESTART)
        _send(connection, row, operator, row["topic"], again(row["message"], row["retry_counter"]))


def resubmit(engine: Engine, identifier: UUID, operator: str) -> None:
    """Begin the message's chain again.

    A failed publication begins with its catalogue job, a failed cataloguing with the ingestion of its file.
    """
    with engine.begin() as connection:
        row = _find(connection, identifier, lock=True)
        _check(row, RESUBMIT)
        if job := catalog_job(row["topic"], row["message"]):
            _send(connection, row, operator, CATALOG_JOB, job)
            return
        if not (file := ingested_file(row["topic"], row["message"])):
            raise NotAllowedError(f"a message of topic {row['topic']} has no earlier step; restart it")
        _ingest_again(connection, *file)
        _leave(connection, row, operator, state=RESTARTED)


def _ingest_again(connection: Connection, station: str, name: str) -> None:
    """Have the trigger send the ingestion job of a file again."""
    entries = connection.execute(
        update(InboxEntry)
        .where(InboxEntry.station == station, InboxEntry.name == name, InboxEntry.state != QUEUED)
        .values(state=RETRY, retry_at=func.now(), updated=func.now())
    )
    if entries.rowcount == 0:
        raise NotAllowedError(
            f"no file {name} of station {station} is known that is not being ingested already; restart the message"
        )


def _send(connection: Connection, row: RowMapping, operator: str, topic: str, message: str) -> None:
    _leave(connection, row, operator, state=RESTARTING, due=func.now(), target_topic=topic, outgoing=message)


def _leave(connection: Connection, row: RowMapping, operator: str, **values: Any) -> None:
    statement = update(failed_processing).where(failed_processing.c.id == row["id"])
    connection.execute(statement.values(operator_name=operator, updated=func.now(), **values))


def _check(row: RowMapping, action: str) -> None:
    allowed = allowed_actions(row["message"])
    if action not in allowed:
        raise NotAllowedError(f"the message's allowedActions are {', '.join(allowed) or 'none'}, not {action}")


def _find(connection: Connection, identifier: UUID, *, lock: bool = False) -> RowMapping:
    statement = select(failed_processing).where(
        failed_processing.c.id == identifier, failed_processing.c.state == PARKED
    )
    row = connection.execute(statement.with_for_update() if lock else statement).mappings().one_or_none()
    if row is None:
        raise UnknownError(f"no failed processing {identifier} is in the parking lot")
    return row


def _conditions(selection: Selection) -> list[Any]:
    columns = failed_processing.c
    conditions: list[Any] = [columns.state == PARKED]
    for column, value in (
        (columns.mission_id, selection.mission),
        (columns.topic, selection.topic),
        (columns.error_level, selection.level),
    ):
        if value is not None:
            conditions.append(column == value)
    if selection.since is not None:
        conditions.append(columns.failure_date >= selection.since)
    if selection.until is not None:
        conditions.append(columns.failure_date < selection.until)
    if selection.text is not None:
        searched = (columns.failure_message, columns.key)
        conditions.append(or_(*(column.icontains(selection.text, autoescape=True) for column in searched)))
    return conditions
