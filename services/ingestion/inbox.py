"""Statements on the inbox: what the trigger and the worker read and write."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, case, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.names import shown
from refsys.services.ingestion.auxip import ListedProduct
from refsys.services.ingestion.stations import Inbox, Station
from refsys.services.ingestion.tables import (
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


def cursor(connection: Connection, station: str) -> datetime | None:
    """How far the station was read, None if never."""
    return connection.execute(
        select(StationCursor.publication_date).where(StationCursor.station == station)
    ).scalar_one_or_none()


def move_cursor(connection: Connection, station: str, publication_date: datetime) -> None:
    """Move the cursor of a station forward; it never goes back."""
    statement = insert(StationCursor).values(station=station, publication_date=publication_date)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[StationCursor.station],
            set_={
                "publication_date": func.greatest(StationCursor.publication_date, statement.excluded.publication_date),
                "updated": func.now(),
            },
        )
    )


def unknown(connection: Connection, station: str, products: Sequence[ListedProduct]) -> list[ListedProduct]:
    """Those products that have no entry yet."""
    ids = [product.id for product in products]
    known = set(
        connection.execute(
            select(InboxEntry.product_id).where(InboxEntry.station == station, InboxEntry.product_id.in_(ids))
        ).scalars()
    )
    return [product for product in products if product.id not in known]


def add_queued(
    connection: Connection, station: Station, products: Sequence[tuple[ListedProduct, Inbox]], seen: datetime
) -> None:
    """Enter products whose jobs were sent."""
    rows = [
        {
            "station": station.name,
            "product_id": product.id,
            "name": product.name,
            "size": product.content_length,
            "checksums": [item.model_dump(mode="json") for item in product.checksums()],
            "publication_date": product.publication_date,
            "family": inbox.family,
            "mission": inbox.mission,
            "state": QUEUED,
            "seen": seen,
        }
        for product, inbox in products
    ]
    if rows:
        connection.execute(insert(InboxEntry).on_conflict_do_nothing(), rows)


def add_refused(connection: Connection, station: str, product: ListedProduct, reason: str, seen: datetime) -> None:
    """Enter a product that is not fetched at all, visibly."""
    name = shown(product.name)
    connection.execute(
        insert(InboxEntry).on_conflict_do_nothing(),
        {
            "station": station,
            "product_id": product.id,
            "name": name,
            "size": product.content_length,
            "checksums": [],
            "publication_date": product.publication_date,
            "family": "",
            "mission": "",
            "state": QUARANTINED,
            "reason": reason,
            "seen": seen,
        },
    )
    _quarantine(connection, station, product.id, name, reason, attempts=0)


def due(connection: Connection, station: str, limit: int) -> Sequence[RowMapping]:
    """Entries to be tried again now, by the database's clock."""
    rows = connection.execute(
        select(InboxEntry.__table__)
        .where(InboxEntry.station == station, InboxEntry.state == RETRY, InboxEntry.retry_at <= func.now())
        .order_by(InboxEntry.retry_at)
        .limit(limit)
    )
    return rows.mappings().all()


def queue_again(connection: Connection, ids: Sequence[int]) -> None:
    """Mark entries whose jobs were sent again."""
    connection.execute(
        update(InboxEntry)
        .where(InboxEntry.id.in_(ids), InboxEntry.state == RETRY)
        .values(state=QUEUED, updated=func.now())
    )


def mark_stored(connection: Connection, station: str, product_id: str) -> None:
    """The file is in the object store; an earlier quarantine of it is over."""
    connection.execute(
        update(InboxEntry)
        .where(InboxEntry.station == station, InboxEntry.product_id == product_id)
        .values(state=STORED, reason="", retry_at=None, updated=func.now())
    )
    connection.execute(delete(Quarantine).where(Quarantine.station == station, Quarantine.product_id == product_id))


def mark_failed(
    connection: Connection, station: str, product_id: str, reason: str, *, limit: int, counts: bool = True
) -> str | None:
    """Record a failure: tried again later, up to `limit` attempts, then quarantined.

    Returns the new state, None if there is no such entry. `counts` False: the file was not really tried.
    """
    attempts = InboxEntry.attempts + (1 if counts else 0)
    seconds = func.least(RETRY_MAX_SECONDS, RETRY_BASE_SECONDS * func.power(2, func.least(attempts, 20)))
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
