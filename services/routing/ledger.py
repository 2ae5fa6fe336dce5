"""What is written down of transfers; the router writes on a connection that holds the lock of the rule."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection, RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.common.messages import utc_now
from refsys.services.routing.remotes import HASH, Entry
from refsys.services.routing.rules import Rule
from refsys.services.routing.tables import DONE, FAILED, PENDING, RUNNING, Transfer

PAUSE_LIMIT = timedelta(hours=1)
_table = Transfer.__table__
_OPEN = Transfer.state.in_((PENDING, RUNNING))


def register(connection: Connection, rule: Rule, entries: Sequence[Entry]) -> int:
    """Record files seen at the source; returns how many are new, or new versions, and so have to be sent."""
    now = utc_now()
    values = [
        {
            "rule": rule.name,
            "source": rule.source,
            "target": rule.target,
            "path": entry.path,
            "size": entry.size,
            "modified": entry.modified,
            "state": FAILED if entry.refused else PENDING,
            "reason": entry.refused,
            "seen": now,
        }
        for entry in entries
    ]
    if not values:
        return 0
    statement = insert(Transfer).values(values).on_conflict_do_nothing().returning(Transfer.id, Transfer.path)
    new = connection.execute(statement).all()
    if new:
        older = update(Transfer).where(
            _of(rule),
            _OPEN,
            Transfer.path.in_([row.path for row in new]),
            Transfer.id.not_in([row.id for row in new]),
        )
        reason = "replaced at the source by a newer version"
        connection.execute(older.values(state=FAILED, reason=reason, finished=now, retry_at=None))
    return len(new)


def take(connection: Connection, rule: Rule, limit: int) -> Sequence[RowMapping]:
    """Transfers whose time has come, now running; those beyond their deadline fail.

    One that is running already was left by a router that was killed: the lock says that nobody works on it.
    """
    now = utc_now()
    late = update(Transfer).where(_of(rule), _OPEN, Transfer.seen < now - timedelta(seconds=rule.deadline_seconds))
    reason = func.concat(f"not delivered within {rule.deadline_seconds} s; last: ", Transfer.reason)
    connection.execute(late.values(state=FAILED, reason=reason, finished=now, retry_at=None))
    due = (
        select(Transfer.id)
        .where(_of(rule), _OPEN, func.coalesce(Transfer.retry_at, now) <= now)
        .order_by(Transfer.id)
        .limit(limit)
    )
    statement = (
        update(Transfer)
        .where(Transfer.id.in_(due.scalar_subquery()))
        .values(state=RUNNING, started=now, attempts=Transfer.attempts + 1, retry_at=None)
        .returning(*_table.columns)
    )
    return sorted(connection.execute(statement).mappings().all(), key=lambda row: int(row["id"]))


def delivered(connection: Connection, hashes: Mapping[int, str]) -> None:
    """Record transfers whose file is at the target with the checksum of the source, by their ids."""
    for identifier, value in hashes.items():
        connection.execute(
            update(Transfer)
            .where(Transfer.id == identifier)
            .values(state=DONE, reason="", hash_algorithm=HASH, hash=value, finished=utc_now())
        )


def failed(connection: Connection, rule: Rule, row: RowMapping, reason: str, pause: timedelta) -> bool:
    """Record a failure: tried again after a pause that doubles each time; False when that was the last attempt."""
    attempts: int = row["attempts"]
    again = attempts < rule.attempts
    retry_at = utc_now() + min(PAUSE_LIMIT, pause * 2 ** (attempts - 1)) if again else None
    values = {
        "state": PENDING if again else FAILED,
        "reason": reason,
        "retry_at": retry_at,
        "finished": None if again else utc_now(),
    }
    connection.execute(update(Transfer).where(Transfer.id == row["id"]).values(values))
    return again


def _of(rule: Rule) -> ColumnElement[bool]:
    return (Transfer.rule == rule.name) & (Transfer.source == rule.source) & (Transfer.target == rule.target)
