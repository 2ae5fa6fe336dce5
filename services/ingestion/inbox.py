"""Statements on the inbox: what the trigger and the worker read and write."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, case, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.messages import utc_now
from refsys.services.common.names import shown
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.stations import Inbox, Station
from refsys.services.ingestion.tables import (
    FILTERED,
    QUARANTINED,
    QUEUED,
    RETRY,
    STORED,
    InboxEntry,
    Quarantine,
    StationCursor,
)

RETRY_BASE_SECONDS = 5.0
RETRY_MAX_SECONDS = 3600.0
LEASE_SECONDS = 90.0  # longer than a delivery to Kafka takes before it is given up

MARK_STORED = (
    update(InboxEntry)
    .where(InboxEntry.station == bindparam("at"), InboxEntry.product_id == bindparam("known_as"))
    .values(state=STORED, reason="", retry_at=None, updated=func.now())
    .returning(InboxEntry.attempts)
)


def new_lease() -> datetime:
    """Until when the jobs of entries that are entered or taken now have to be sent; different each time."""
    return utc_now() + timedelta(seconds=LEASE_SECONDS)


def cursor(connection: Connection, station: str) -> datetime | None:
    """How far the station was read, None if never."""
    return connection.execute(
        select(StationCursor.publication_date).where(StationCursor.station == station)
    ).scalar_one_or_none()


def move_cursor(connection: Connection, station: str, publication_date: datetime) -> None:
    """Move the cursor of a station forward; it never goes back.

    Dates in the future don't move it further than to now: a wrong one would hide what comes after it.
    """
    reached = func.least(literal(publication_date), func.now())
    statement = insert(StationCursor).values(station=station, publication_date=reached)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[StationCursor.station],
            set_={
                "publication_date": func.greatest(StationCursor.publication_date, statement.excluded.publication_date),
                "updated": func.now(),
            },
        )
    )


def unknown(connection: Connection, station: str, files: Sequence[ListedFile]) -> list[ListedFile]:
    """Those files that have no entry yet."""
    ids = [file.id for file in files]
    known = set(
        connection.execute(
            select(InboxEntry.product_id).where(InboxEntry.station == station, InboxEntry.product_id.in_(ids))
        ).scalars()
    )
    return [file for file in files if file.id not in known]


def entry(station: Station, file: ListedFile, inbox: Inbox, seen: datetime, filtered: str | None) -> dict[str, Any]:
    """The entry of a file that an inbox takes: to be queued, or `filtered` for a reason."""
    return _common(station.name, file, seen) | {
        "family": inbox.family_of(file),
        "mission": inbox.mission,
        "station_code": station.code_of(inbox),
        "priority": inbox.priority,
        "state": FILTERED if filtered else QUEUED,
        "reason": filtered or "",
    }


def add(connection: Connection, entries: Sequence[dict[str, Any]], lease: datetime) -> None:
    """Enter files: filtered ones, and those whose jobs will be sent before the lease ends.

    A job may be done before its sender goes on: only what is entered before can be marked then.
    """
    leased = [
        entry | ({"state": RETRY, "retry_at": lease} if entry["state"] == QUEUED else {"retry_at": None})
        for entry in entries
    ]
    if leased:
        connection.execute(insert(InboxEntry).on_conflict_do_nothing(), leased)


def add_refused(connection: Connection, station: str, file: ListedFile, reason: str, seen: datetime) -> None:
    """Enter a file that is not fetched at all, visibly."""
    common = _common(station, file, seen) | {"name": shown(file.name), "path": shown(file.path), "checksums": []}
    refused = common | {"family": "", "mission": "", "station_code": "", "state": QUARANTINED, "reason": reason}
    connection.execute(insert(InboxEntry).on_conflict_do_nothing(), refused)
    _quarantine(connection, station, file.id, shown(file.name), reason, attempts=0)


def _common(station: str, file: ListedFile, seen: datetime) -> dict[str, Any]:
    return {
        "station": station,
        "product_id": file.id,
        "name": file.name,
        "path": file.path,
        "size": file.size,
        "checksums": [item.model_dump(mode="json") for item in file.checksums],
        "publication_date": file.publication_date,
        "session": file.session.model_dump(mode="json") if file.session else None,
        "seen": seen,
    }


def of_session(connection: Connection, station: str, session_id: str, limit: int) -> list[ListedFile]:
    """The files of a downlink session that a station has listed so far, oldest first, at most `limit`."""
    rows = connection.execute(
        select(InboxEntry.__table__)
        .where(InboxEntry.station == station, InboxEntry.session["session_id"].astext == session_id)
        .order_by(InboxEntry.publication_date, InboxEntry.id)
        .limit(limit)
    )
    return [
        ListedFile(
            id=row["product_id"],
            name=row["name"],
            path=row["path"],
            size=row["size"],
            publication_date=row["publication_date"],
            session=row["session"],
        )
        for row in rows.mappings()
    ]


def take_due(connection: Connection, station: str, limit: int, lease: datetime) -> Sequence[RowMapping]:
    """Entries to be tried again now, by the database's clock; nobody else gets them before the lease ends."""
    due = (
        select(InboxEntry.id)
        .where(InboxEntry.station == station, InboxEntry.state == RETRY, InboxEntry.retry_at <= func.now())
        .order_by(InboxEntry.priority.desc(), InboxEntry.retry_at)
        .limit(limit)
    )
    taken = update(InboxEntry).where(InboxEntry.id.in_(due)).values(retry_at=lease, updated=func.now())
    rows = connection.execute(taken.returning(InboxEntry.__table__)).mappings().all()
    return sorted(rows, key=lambda row: (-row["priority"], row["id"]))


def queued(connection: Connection, station: str, lease: datetime) -> None:
    """The jobs of a lease were sent; entries that a worker has marked already are left alone."""
    connection.execute(
        update(InboxEntry)
        .where(InboxEntry.station == station, InboxEntry.state == RETRY, InboxEntry.retry_at == lease)
        .values(state=QUEUED, retry_at=None, updated=func.now())
    )


def ask_again(connection: Connection, station: str, product_id: str) -> None:
    """Have a known file fetched anew, whatever became of it before; a job that is on its way will do."""
    connection.execute(
        update(InboxEntry)
        .where(InboxEntry.station == station, InboxEntry.product_id == product_id)
        .where(InboxEntry.state.not_in((QUEUED, RETRY)))
        .values(state=RETRY, reason="", attempts=0, retry_at=func.now(), updated=func.now())
    )


def mark_stored(connection: Connection, station: str, product_id: str) -> None:
    """The file is in the object store; an earlier quarantine of it is over."""
    attempts = connection.execute(MARK_STORED, {"at": station, "known_as": product_id}).scalar_one_or_none()
    if attempts != 0:
        connection.execute(delete(Quarantine).where(Quarantine.station == station, Quarantine.product_id == product_id))


def mark_failed(
    connection: Connection,
    station: str,
    product_id: str,
    reason: str,
    *,
    limit: int,
    counts: bool = True,
    wait_seconds: float = 0,
) -> str | None:
    """Record a failure: tried again later, at least after `wait_seconds`, up to `limit` attempts, then quarantined.

    Returns the new state, None if there is no such entry. `counts` False: the file was not really tried.
    """
    attempts = InboxEntry.attempts + (1 if counts else 0)
    backoff = func.least(RETRY_MAX_SECONDS, RETRY_BASE_SECONDS * func.power(2, func.least(attempts, 20)))
    seconds = func.greatest(backoff, wait_seconds)
    row = connection.execute(
        update(InboxEntry)
        .where(InboxEntry.station == station, InboxEntry.product_id == product_id)
        .values(
            state=case((attempts >= limit, literal(QUARANTINED)), else_=literal(RETRY)),
            reason=reason,
            attempts=attempts,
            retry_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds),
            updated=func.now(),
        )
        .returning(InboxEntry.state, InboxEntry.name, InboxEntry.attempts)
    ).one_or_none()
    if row is None:
        return None
    if row.state == QUARANTINED:
        _quarantine(connection, station, product_id, row.name, reason, attempts=row.attempts)
    return str(row.state)


def _quarantine(
    connection: Connection, station: str, product_id: str, name: str, reason: str, *, attempts: int
) -> None:
    statement = insert(Quarantine).values(
        station=station,
        product_id=product_id,
        name=name,
        reason=reason,
        attempts=attempts,
        first_seen=func.now(),
        last_seen=func.now(),
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[Quarantine.station, Quarantine.product_id],
            set_={"reason": reason, "attempts": attempts, "last_seen": func.now()},
        )
    )
