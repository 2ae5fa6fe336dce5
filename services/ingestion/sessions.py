"""A poll of a station of downlink sessions (CADIP, reference-system.md §2.4 and §3.1).

Sessions are read by PublicationDate with an overlap and kept in PostgreSQL. All files of a session are listed, in
every poll, until each of its channels is complete and `overlap_seconds` have passed since: a row that becomes visible
late is not missed. A session that is published again, or has files retransferred, is looked at again.
"""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import Engine, RowMapping

from refsys.services.common import logs
from refsys.services.common.messages import Checksum
from refsys.services.ingestion import inbox, session_tables
from refsys.services.ingestion.channels import Channel, Channels
from refsys.services.ingestion.dsib import dsib_name, dsib_text
from refsys.services.ingestion.errors import StationError
from refsys.services.ingestion.intake import Intake
from refsys.services.ingestion.session import SessionSource
from refsys.services.ingestion.source import ListedFile, SessionFile
from refsys.services.ingestion.sources.http import RefusedError
from refsys.services.ingestion.tables import DONE, OPEN

GIVE_UP = timedelta(days=30)  # where the station's history has no limit
MADE = "dsib:"
"""Begins the ids of DSIBs made here; no id of a CADIP station has a colon."""

log = logs.get_logger()


class SessionPoll:
    """Polls the sessions of one station."""

    def __init__(self, intake: Intake, engine: Engine) -> None:
        """Nothing is requested before the first poll."""
        self._intake = intake
        self._engine = engine
        self._station = intake.station
        self._overlap = timedelta(seconds=self._station.overlap_seconds)
        self._tells_retransfers = True

    def poll(self, source: SessionSource, since: datetime | None) -> int:
        """One poll of sessions published at or after `since`, and of those still watched; returns the jobs.

        A session that can't be read doesn't hold up the others; the first such error is raised at the end.
        """
        self._read_sessions(source, since)
        self._read_retransfers(source)
        history = timedelta(days=self._station.history_days) if self._station.history_days else GIVE_UP
        with self._engine.begin() as connection:
            for session_id in session_tables.give_up(connection, self._station.name, history):
                log.error("session stays incomplete", station=self._station.name, session=session_id)
            watched = session_tables.watched(connection, self._station.name, self._overlap)
        jobs, failures = 0, []
        for session in watched:
            try:
                jobs += self._read_files(source, session)
            except StationError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return jobs

    def _read_sessions(self, source: SessionSource, since: datetime | None) -> None:
        name, reached = self._station.name, since
        for page in source.sessions(since):
            reached = max([session.publication_date for session in page] + ([reached] if reached else []), default=None)
            with self._engine.begin() as connection:
                session_tables.add(connection, name, page)
        if reached:
            with self._engine.begin() as connection:
                inbox.move_cursor(connection, name, reached)

    def _read_retransfers(self, source: SessionSource) -> None:
        """Look again at the sessions of which files were retransferred since the newest complete channel."""
        with self._engine.connect() as connection:
            newest = session_tables.last_change(connection, self._station.name)
        if newest is None or not self._tells_retransfers:
            return
        try:
            for page in source.retransferred(newest - self._overlap):
                wanted = [file for file in page if self._station.inbox_of(file)]
                with self._engine.begin() as connection:
                    new = inbox.unknown(connection, self._station.name, wanted)
                    ids = {file.session.session_id for file in new if file.session}
                    session_tables.reopen(connection, self._station.name, sorted(ids))
        except RefusedError as error:
            self._tells_retransfers = False
            log.warning("station tells retransfers by session alone", station=self._station.name, reason=str(error))

    def _read_files(self, source: SessionSource, session: RowMapping) -> int:
        listed, jobs = Channels(), 0
        for page in source.files(session["session_id"], session["satellite"]):
            jobs += self._intake.take(listed.add(page), downlink=session["downlink_start"])
        jobs += self._complete_channels(session, listed)
        if listed.all_complete(session["num_channels"]) != (session["state"] == DONE):
            self._change_state(source, session)
        return jobs

    def _change_state(self, source: SessionSource, session: RowMapping) -> None:
        """An open session is complete, or one that was complete is no more."""
        name, session_id = self._station.name, session["session_id"]
        if session["state"] == OPEN:
            self._read_quality(source, session)
        with self._engine.begin() as connection:
            if session["state"] == OPEN:
                session_tables.close(connection, name, session_id)
            else:
                session_tables.reopen(connection, name, [session_id])
        log.info("session complete" if session["state"] == OPEN else "session again", station=name, session=session_id)

    def _complete_channels(self, session: RowMapping, listed: Channels) -> int:
        """Enter complete channels, and take the DSIBs made for them as files like others."""
        with self._engine.begin() as connection:
            for key, channel in listed.complete().items():
                session_tables.add_channel(connection, session, key, channel, _dsib(session, channel))
            rows = session_tables.channels(connection, self._station.name, session["session_id"])
        made = [_dsib_file(session, row) for row in rows if row["dsib"] is not None]
        return self._intake.take(made, downlink=session["downlink_start"])

    def _read_quality(self, source: SessionSource, session: RowMapping) -> None:
        """Keep the QualityInfo; a station that doesn't tell it doesn't hold up the session."""
        try:
            qualities = source.quality(session["source_id"])
        except StationError as error:
            log.warning(
                "no quality information",
                station=self._station.name,
                session=session["session_id"],
                reason=str(error),
            )
            return
        with self._engine.begin() as connection:
            session_tables.set_quality(connection, session, qualities)


def _dsib(session: RowMapping, channel: Channel) -> tuple[str, str] | None:
    """Name and text of the DSIB to be made; None where the station delivers one, or no block has a DSDB's name."""
    blocks = [block for block in channel.blocks.values() if dsib_name(block.name)]
    if channel.has_dsib or not blocks:
        return None
    text = dsib_text(session["session_id"], blocks, session["downlink_start"], session["downlink_stop"])
    return dsib_name(min(blocks).name) or "", text


def _dsib_file(session: RowMapping, channel: RowMapping) -> ListedFile:
    content = channel["dsib"].encode()
    kind = "retransfer" if channel["retransfer"] else "nominal"
    return ListedFile(
        id=f"{MADE}{session['session_id']}/{channel['channel']}/{kind}",
        name=channel["dsib_name"],
        size=len(content),
        publication_date=channel["last_publication"],
        checksums=[
            Checksum(
                algorithm="SHA-256",
                value=hashlib.sha256(content).hexdigest(),
                checksum_date=channel["last_publication"],
            )
        ],
        session=SessionFile(
            session_id=session["session_id"],
            satellite=session["satellite"],
            channel=channel["channel"],
            block_number=None,
            final_block=False,
            retransfer=channel["retransfer"],
        ),
    )
