"""What the chain has to do, under `/operations/v1/chain`: stations, files in work, dead letters, files not taken."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from sqlalchemy import Connection, Engine, func, select

from refsys.services.dead_letters.tables import PARKED, RESTARTING, failed_processing
from refsys.services.ingestion.tables import QUEUED, RETRY, InboxEntry, Quarantine, StationCursor
from refsys.services.operations.answers import engine_of, shown

DAY = timedelta(days=1)
IN_WORK = (QUEUED, RETRY)

router = APIRouter(prefix="/operations/v1")


@router.get("/chain")
def chain(database: Annotated[Engine, Depends(engine_of)]) -> dict[str, Any]:
    """Return figures of the chain: each station, what is in work and since when, what waits for an operator."""
    with database.connect() as connection:
        return chain_figures(connection)


def chain_figures(connection: Connection) -> dict[str, Any]:
    """Return the same over a connection."""
    return {
        "stations": _stations(connection),
        "inWork": _in_work(connection),
        "deadLetters": _dead_letters(connection),
        "quarantined": _quarantined(connection),
    }


def _stations(connection: Connection) -> list[dict[str, Any]]:
    entry = InboxEntry
    waiting = (
        select(
            entry.station,
            func.count().label("in_work"),
            func.count().filter(entry.state == RETRY).label("retrying"),
            func.max(entry.reason).label("reason"),
        )
        .where(entry.state.in_(IN_WORK))
        .group_by(entry.station)
        .subquery()
    )
    statement = (
        select(
            StationCursor.station,
            StationCursor.publication_date,
            StationCursor.updated,
            func.coalesce(waiting.c.in_work, 0).label("in_work"),
            func.coalesce(waiting.c.retrying, 0).label("retrying"),
            waiting.c.reason,
        )
        .outerjoin(waiting, waiting.c.station == StationCursor.station)
        .order_by(StationCursor.station)
    )
    return [
        {
            "name": row.station,
            "newestPublication": shown(row.publication_date),
            "lastNewFile": shown(row.updated),
            "inWork": row.in_work,
            "retrying": row.retrying,
            "reason": row.reason or "",
        }
        for row in connection.execute(statement)
    ]


def _in_work(connection: Connection) -> dict[str, Any]:
    entry = InboxEntry
    working = entry.state.in_(IN_WORK)
    count = connection.execute(select(func.count()).where(working)).scalar_one()
    columns = (entry.name, entry.station, entry.mission, entry.state, entry.reason, entry.attempts, entry.seen)
    oldest = connection.execute(select(*columns).where(working).order_by(entry.seen).limit(1)).mappings().first()
    return {"count": count, "oldest": {**oldest, "seen": shown(oldest["seen"])} if oldest else None}


def _dead_letters(connection: Connection) -> dict[str, Any]:
    letter = failed_processing.c
    statement = select(
        func.count().filter(letter.state == PARKED).label("waiting"),
        func.count().filter(letter.state == RESTARTING).label("restarting"),
        func.min(letter.failure_date).filter(letter.state == PARKED).label("oldest"),
    )
    row = connection.execute(statement).mappings().one()
    return {**row, "oldest": shown(row["oldest"])}


def _quarantined(connection: Connection) -> dict[str, Any]:
    lately = Quarantine.last_seen > func.now() - DAY
    count = connection.execute(select(func.count()).where(lately)).scalar_one()
    columns = (Quarantine.name, Quarantine.station, Quarantine.reason)
    last = connection.execute(select(*columns).where(lately).order_by(Quarantine.last_seen.desc()).limit(1))
    row = last.mappings().first()
    return {"count": count, "last": dict(row) if row else None}
