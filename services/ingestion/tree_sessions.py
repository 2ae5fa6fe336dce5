"""Completeness of downlink sessions that come as trees of files (XBIP, EDIP; reference-system.md §3.3).

No name tells which block of a channel is the last. The station's DSIB of the channel lists them (§4.3): once it is
there the session is followed until all blocks of each of its channels are listed, as sessions of a CADIP are.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Engine, RowMapping

from refsys.services.catalogue.xml import UnreadableError
from refsys.services.common import logs
from refsys.services.ingestion import inbox, session_tables
from refsys.services.ingestion.channels import MAX_FILES, Channels
from refsys.services.ingestion.dsib import is_dsib, listed_blocks
from refsys.services.ingestion.intake import Intake
from refsys.services.ingestion.session import Session
from refsys.services.ingestion.sessions import GIVE_UP
from refsys.services.ingestion.source import ListedFile, Source

log = logs.get_logger()


class TreeSessions:
    """Follows the sessions of one station."""

    def __init__(self, intake: Intake, engine: Engine) -> None:
        """Nothing is requested before the first poll."""
        self._station = intake.station
        self._engine = engine
        self._blocks: dict[str, list[str]] = {}  # of the DSIBs of open sessions, by the file's id

    def see(self, files: Sequence[ListedFile]) -> None:
        """Follow the sessions of which a DSIB is listed; one that is newer than before opens its session again."""
        sessions = [self._session(file) for file in files if file.session and is_dsib(file.name)]
        if sessions:
            with self._engine.begin() as connection:
                session_tables.add(connection, self._station.name, [each for each in sessions if each])

    def follow(self, source: Source) -> None:
        """Close the sessions of which all blocks are listed, and those that stay incomplete too long."""
        name = self._station.name
        history = timedelta(days=self._station.history_days) if self._station.history_days else GIVE_UP
        with self._engine.begin() as connection:
            for session_id in session_tables.give_up(connection, name, history):
                log.error("session stays incomplete", station=name, session=session_id)
            watched = session_tables.watched(connection, name, timedelta(0))
        read: dict[str, list[str]] = {}
        for session in watched:
            self._follow(source, session, read)
        self._blocks = read

    def _follow(self, source: Source, session: RowMapping, read: dict[str, list[str]]) -> None:
        name, session_id = self._station.name, session["session_id"]
        with self._engine.connect() as connection:
            files = inbox.of_session(connection, name, session_id, MAX_FILES)
        for file in files:
            if is_dsib(file.name):
                read[file.id] = self._blocks.get(file.id) or self._read(source, file)
        channels = Channels()
        channels.add(list(_with_final_blocks(files, read)))
        complete = channels.all_complete(1)
        with self._engine.begin() as connection:
            for key, channel in channels.complete().items():
                session_tables.add_channel(connection, session, key, channel, None)
            if complete:
                session_tables.close(connection, name, session_id)
        if complete:
            log.info("session complete", station=name, session=session_id, files=len(files))

    def _session(self, file: ListedFile) -> Session | None:
        rule = self._station.inbox_of(file)
        if rule is None or file.session is None:
            return None
        session_id = file.session.session_id
        return Session.model_validate(
            {
                "Id": str(uuid5(NAMESPACE_URL, f"session:{self._station.name}:{session_id}")),
                "SessionId": session_id,
                "NumChannels": 1,  # at least; which there are more, only their folders tell
                "PublicationDate": file.publication_date,
                "Satellite": file.session.satellite or rule.mission,
                "StationUnitId": file.session.station_unit,
                "Retransfer": file.session.retransfer,
            }
        )

    def _read(self, source: Source, file: ListedFile) -> list[str]:
        """The blocks that a DSIB lists; none if it can't be understood."""
        try:
            return listed_blocks(_Stream(source.content(file)))
        except UnreadableError as error:
            log.error("DSIB can't be read", station=self._station.name, file=file.path, reason=str(error))
            return []


def _with_final_blocks(files: Sequence[ListedFile], blocks: dict[str, list[str]]) -> Iterator[ListedFile]:
    """The files, with `final_block` set for the last one that a DSIB of its channel lists."""
    last = {
        (file.session.channel, file.session.retransfer, listed[-1])
        for file in files
        if file.session and (listed := blocks.get(file.id))
    }
    for file in files:
        if file.session and (file.session.channel, file.session.retransfer, file.name) in last:
            final = file.session.model_copy(update={"final_block": True})
            yield file.model_copy(update={"session": final})
        else:
            yield file


class _Stream:
    """Chunks of bytes, to be read as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        data = self._rest or next(self._chunks, b"")
        cut = len(data) if size < 0 else size
        self._rest = data[cut:]
        return data[:cut]
