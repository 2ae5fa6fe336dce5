"""Publishing the files of sessions: a `catalog-event` of a session's block becomes a File of its Session.

The event's `additionalFields` tell `sessionId, channel, blockNumber, finalBlock, retransfer, satellite,
stationUnitId, downlinkOrbit`; what else of a Session the station told (`numChannels`, `acquisitionId`, `antennaId`, …)
is kept if it is there under its camelCase name.
"""

from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from pydantic import AwareDatetime, Field, ValidationError
from sqlalchemy import Connection, Engine, RowMapping, func, select, text, union_all, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.cadip.model import PLANS, STATUSES, TEXTS, session, session_end, session_file, session_quality
from refsys.services.common import logs
from refsys.services.common.bus import RejectedError
from refsys.services.common.database import lock_transaction
from refsys.services.common.families import split_storage_path
from refsys.services.common.messages import CatalogEvent, Model
from refsys.services.common.reports import published

FAMILIES = frozenset({"EDRS_SESSION", "SESSION_RETRANSFER"})
LOCK = "refsys session publication"
RETENTION = timedelta(days=30)  # of session files, reference-system.md §2.4
CHANNELS = 2  # of a downlink, unless the station tells otherwise

_f, _q, _s = session_file.c, session_quality.c, session.c
log = logs.get_logger()


class SessionFields(Model):
    """What the additional fields of an event tell of a session's file."""

    session_id: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_]+$")
    channel: int = Field(ge=1, le=9)
    block_number: int | None = Field(default=None, ge=0, lt=2**31)
    final_block: bool = False
    last_block: str | None = Field(default=None, max_length=255)
    retransfer: bool = False
    satellite: str = Field(pattern=r"^[A-Za-z0-9_-]{1,20}$")
    station_unit_id: str = Field(default="", max_length=50)
    downlink_orbit: int = Field(ge=0, lt=2**31)
    num_channels: int = Field(default=CHANNELS, ge=1, le=9)
    acquisition_id: str | None = Field(default=None, max_length=100)
    antenna_id: str | None = Field(default=None, max_length=100)
    front_end_id: str | None = Field(default=None, max_length=100)
    antenna_status_ok: bool | None = Field(default=None, alias="antennaStatusOK")
    front_end_status_ok: bool | None = Field(default=None, alias="frontEndStatusOK")
    downlink_status_ok: bool | None = Field(default=None, alias="downlinkStatusOK")
    delivery_push_ok: bool | None = Field(default=None, alias="deliveryPushOK")
    planned_data_start: AwareDatetime | None = None
    planned_data_stop: AwareDatetime | None = None


def publish_session_file(engine: Engine, event: CatalogEvent) -> datetime | None:
    """Publish the file of an event and return its publication date; the same event again changes nothing.

    None for a file that is no block of a channel (a DSIB): a CADIP serves the blocks alone. Its list tells which of
    them is the final one.

    Raises:
        RejectedError: the event is contradictory, or other content is published under this name.
    """
    fields, location = _fields(event), _location(event)
    if fields.block_number is None:
        if fields.last_block:
            _close_channel(engine, event, fields)
        log.info("not a block, not published on the CADIP", filename=event.key_object_storage)
        return None
    session_uuid = _session_uuid(fields)
    file = _file(event, fields, session_uuid, location)
    with engine.begin() as connection:
        if known := _published(connection, file):
            return known
    with (
        logs.task(
            "PripWorker",
            chain="DISTRIBUTION",
            mission=event.mission_id,
            satellite=event.satellite_id,
            follows=str(event.uid),
            filename=file["name"],
        ) as task,
        engine.begin() as connection,
    ):
        # As in the publisher: dates rise in the order in which files become visible.
        lock_transaction(connection, LOCK)
        moment: datetime = connection.execute(_next_date()).scalar_one()
        _keep_session(connection, session_uuid, fields, event, moment)
        if known := _published(connection, file):
            return known
        final = fields.final_block or _last_block(connection, session_uuid, fields.channel) == file["name"]
        file |= {"final_block": final, "publication_date": moment, "eviction_date": moment + RETENTION}
        connection.execute(session_file.insert().values(file))
        _keep_quality(connection, session_uuid, fields)
        task.size_bytes = event.product_size_byte
        task.output = published(event, moment)
    return moment


def _close_channel(engine: Engine, event: CatalogEvent, fields: SessionFields) -> None:
    """Mark the block that the DSIB of a channel lists as its last, now or when it comes.

    A block that is published already gets a new publication date with it: clients that read files by that date see it
    again.
    """
    session_uuid, last = _session_uuid(fields), fields.last_block
    end = insert(session_end).values(session=session_uuid, channel=fields.channel, last_block=last)
    known = end.on_conflict_do_update(index_elements=["session", "channel"], set_={"last_block": last})
    with engine.begin() as connection:
        lock_transaction(connection, LOCK)
        connection.execute(known)
        moment = connection.execute(_next_date()).scalar_one()
        of_channel = (_f.session == session_uuid) & (_f.channel == fields.channel)
        marked = update(session_file).where(of_channel, _f.name == last, ~_f.final_block)
        if connection.execute(marked.values(final_block=True, publication_date=moment)).rowcount:
            _keep_quality(connection, session_uuid, fields)
            log.info("channel complete", session=fields.session_id, channel=fields.channel, final_block=last)


def _last_block(connection: Connection, session_uuid: UUID, channel: int) -> str | None:
    wanted = (session_end.c.session == session_uuid) & (session_end.c.channel == channel)
    return connection.execute(select(session_end.c.last_block).where(wanted)).scalar_one_or_none()


def _session_uuid(fields: SessionFields) -> UUID:
    return uuid5(NAMESPACE_URL, f"session:{fields.session_id}:{fields.retransfer}")


def _fields(event: CatalogEvent) -> SessionFields:
    if event.product_family not in FAMILIES:
        raise RejectedError(f"productFamily {event.product_family} is none of {', '.join(sorted(FAMILIES))}")
    try:
        return SessionFields.model_validate(event.additional_fields)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise RejectedError(f"additionalFields of a session's file: {problems}") from error


def _location(event: CatalogEvent) -> tuple[str, str]:
    try:
        return split_storage_path(event.storage_path)
    except ValueError as error:
        raise RejectedError(str(error)) from error


def _file(event: CatalogEvent, fields: SessionFields, session_uuid: UUID, location: tuple[str, str]) -> dict[str, Any]:
    return {
        "id": event.product_id,
        "session": session_uuid,
        "session_id": fields.session_id,
        "name": PurePosixPath(event.key_object_storage).name,
        "channel": fields.channel,
        "block_number": fields.block_number,
        "final_block": fields.final_block,
        "retransfer": fields.retransfer,
        "content_length": event.product_size_byte,
        "content_type": event.content_type,
        "checksums": [each.model_dump(mode="json", by_alias=True) for each in event.checksums],
        "mission": event.mission_id,
        "bucket": location[0],
        "object_key": location[1],
    }


def _published(connection: Connection, file: dict[str, Any]) -> datetime | None:
    same_name = (_f.session == file["session"]) & (_f.name == file["name"])
    statement = select(session_file).where(same_name | (_f.id == file["id"]))
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    # The final block may have become so by the channel's DSIB.
    differing = [key for key, value in file.items() if key not in {"checksums", "final_block"} and row[key] != value]
    if _sums(row) != _sums(file):
        differing.append("checksums")
    if differing:
        raise RejectedError(
            f"{file['name']} of session {file['session_id']} is already published as {row['id']} with other "
            f"{', '.join(differing)}; withdraw the published file first if the new one is right"
        )
    moment: datetime = row["publication_date"]
    return moment


def _sums(file: "dict[str, Any] | RowMapping") -> set[tuple[str, str]]:
    return {(each["algorithm"].upper(), each["value"].lower()) for each in file["checksums"]}


def _next_date() -> Any:
    latest = union_all(select(func.max(_s.publication_date).label("last")), select(func.max(_f.publication_date)))
    last = select(func.max(latest.subquery().c.last)).scalar_subquery()
    now = func.date_trunc("milliseconds", func.clock_timestamp())
    return select(func.greatest(now, last + text("interval '1 millisecond'")))


def _keep_session(
    connection: Connection, session_uuid: UUID, fields: SessionFields, event: CatalogEvent, moment: datetime
) -> None:
    """Make the session with its first file; later files widen its downlink and add what was not known."""
    told = (*TEXTS, *STATUSES, *PLANS)
    values = {
        "id": session_uuid,
        "session_id": fields.session_id,
        "retransfer": fields.retransfer,
        "num_channels": max(fields.num_channels, fields.channel),
        "publication_date": moment,
        "satellite": fields.satellite,
        "station_unit_id": fields.station_unit_id,
        "station_id": event.station_name,
        "downlink_orbit": fields.downlink_orbit,
        "downlink_start": event.content_date_start,
        "downlink_stop": event.content_date_end,
        **{name: getattr(fields, name) for name in told},
    }
    statement = insert(session).values(values)
    new = statement.excluded
    widened = {
        "num_channels": func.greatest(_s.num_channels, new.num_channels),
        "downlink_start": func.least(_s.downlink_start, new.downlink_start),
        "downlink_stop": func.greatest(_s.downlink_stop, new.downlink_stop),
        **{name: func.coalesce(_s[name], new[name]) for name in told},
    }
    connection.execute(statement.on_conflict_do_update(index_elements=[_s.id], set_=widened))


def _keep_quality(connection: Connection, session_uuid: UUID, fields: SessionFields) -> None:
    """Count what of a channel was delivered, from its final block on."""
    of_channel = (_f.session == session_uuid) & (_f.channel == fields.channel)
    counted = select(
        func.bool_or(_f.final_block).label("complete"),
        func.min(_f.publication_date).label("delivery_start"),
        func.max(_f.publication_date).label("delivery_stop"),
        func.count().label("total_chunks"),
        func.sum(_f.content_length).label("total_volume"),
    ).where(of_channel)
    counts = dict(connection.execute(counted).mappings().one())
    if not counts.pop("complete"):
        return
    statement = insert(session_quality).values(
        id=uuid5(session_uuid, str(fields.channel)),
        session=session_uuid,
        session_id=fields.session_id,
        channel=fields.channel,
        **counts,
    )
    connection.execute(statement.on_conflict_do_update(index_elements=[_q.id], set_=counts))
