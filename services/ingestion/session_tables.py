"""Statements on downlink sessions and their channels."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.ingestion.channels import Channel
from refsys.services.ingestion.session import Quality, Session
from refsys.services.ingestion.tables import DONE, INCOMPLETE, OPEN, DownlinkSession, SessionChannel


def add(connection: Connection, station: str, sessions: Sequence[Session]) -> None:
    """Enter sessions; one that is published again, as with a retransfer, is open again.

    What was told of the downlink first stays: sampling and DSIB go by it.
    """
    for session in sessions:
        statement = insert(DownlinkSession).values(
            station=station,
            session_id=session.session_id,
            source_id=session.id,
            satellite=session.satellite,
            num_channels=session.num_channels,
            publication_date=session.publication_date,
            downlink_start=session.downlink_start,
            downlink_stop=session.downlink_stop,
            properties=session.model_dump(mode="json", by_alias=True),
            state=OPEN,
        )
        new, table = statement.excluded, DownlinkSession
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[table.station, table.session_id],
                set_={
                    "source_id": new.source_id,
                    "num_channels": func.greatest(table.num_channels, new.num_channels),
                    "publication_date": new.publication_date,
                    "downlink_start": func.coalesce(table.downlink_start, new.downlink_start),
                    "downlink_stop": func.coalesce(table.downlink_stop, new.downlink_stop),
                    "properties": new.properties,
                    "state": OPEN,
                    "completed": None,
                    "updated": func.now(),
                },
                where=new.publication_date > table.publication_date,
            )
        )


def reopen(connection: Connection, station: str, ids: Sequence[str]) -> None:
    """Look at sessions again that were left alone."""
    connection.execute(
        update(DownlinkSession)
        .where(DownlinkSession.station == station, DownlinkSession.session_id.in_(ids), DownlinkSession.state != OPEN)
        .values(state=OPEN, completed=None, updated=func.now())
    )


def watched(connection: Connection, station: str, settle: timedelta) -> Sequence[RowMapping]:
    """The sessions whose files are listed now: open ones, and those that were completed less than `settle` ago."""
    table = DownlinkSession
    recent = and_(table.state == DONE, table.completed > func.now() - settle)
    rows = connection.execute(
        select(table.__table__)
        .where(table.station == station, or_(table.state == OPEN, recent))
        .order_by(table.publication_date)
    )
    return rows.mappings().all()


def give_up(connection: Connection, station: str, history: timedelta) -> Sequence[str]:
    """Close sessions that did not change within the station's history; returns their ids."""
    table = DownlinkSession
    rows = connection.execute(
        update(table)
        .where(table.station == station, table.state == OPEN, table.updated < func.now() - history)
        .values(state=INCOMPLETE, completed=func.now())
        .returning(table.session_id)
    )
    return rows.scalars().all()


def close(connection: Connection, station: str, session_id: str) -> None:
    """All channels of a session are complete."""
    connection.execute(
        update(DownlinkSession)
        .where(
            DownlinkSession.station == station,
            DownlinkSession.session_id == session_id,
            DownlinkSession.state == OPEN,
        )
        .values(state=DONE, completed=func.now(), updated=func.now())
    )


def channels(connection: Connection, station: str, session_id: str) -> Sequence[RowMapping]:
    """The complete channels of a session."""
    table = SessionChannel
    rows = connection.execute(
        select(table.__table__).where(table.station == station, table.session_id == session_id).order_by(table.channel)
    )
    return rows.mappings().all()


def add_channel(
    connection: Connection,
    session: RowMapping,
    key: tuple[int, bool],
    channel: Channel,
    dsib: tuple[str, str] | None,
) -> None:
    """Enter a complete channel with the name and text of the DSIB made for it; what is there stays."""
    number, retransfer = key
    blocks = channel.blocks.values()
    connection.execute(
        insert(SessionChannel)
        .values(
            station=session["station"],
            session_id=session["session_id"],
            channel=number,
            retransfer=retransfer,
            files=len(blocks),
            size=sum(block.size for block in blocks),
            last_publication=max((block.published for block in blocks), default=session["publication_date"]),
            dsib_name=dsib[0] if dsib else None,
            dsib=dsib[1] if dsib else None,
        )
        .on_conflict_do_nothing()
    )


def set_quality(connection: Connection, session: RowMapping, qualities: Sequence[Quality]) -> None:
    """Keep what the station tells of the reception of each channel."""
    for quality in qualities:
        connection.execute(
            update(SessionChannel)
            .where(
                SessionChannel.station == session["station"],
                SessionChannel.session_id == session["session_id"],
                SessionChannel.channel == quality.channel,
            )
            .values(quality=quality.model_dump(mode="json", by_alias=True))
        )


def dsib_of(connection: Connection, station: str, session_id: str, channel: int, retransfer: bool) -> str | None:
    """The text of the DSIB made for a channel; None if none was made."""
    return connection.execute(
        select(SessionChannel.dsib).where(
            SessionChannel.station == station,
            SessionChannel.session_id == session_id,
            SessionChannel.channel == channel,
            SessionChannel.retransfer == retransfer,
        )
    ).scalar_one_or_none()


def last_change(connection: Connection, station: str) -> datetime | None:
    """The publication of the newest file in a complete channel, by the station's clock."""
    return connection.execute(
        select(func.max(SessionChannel.last_publication)).where(SessionChannel.station == station)
    ).scalar_one()
