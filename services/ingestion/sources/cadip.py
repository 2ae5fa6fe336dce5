"""Client of a station's CADIP interface (reference-system.md §3.1): sessions and their files."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, Field

from refsys.services.ingestion.session import Channel, Guid, Quality, Row, Session, SessionId
from refsys.services.ingestion.source import ListedFile, SessionFile
from refsys.services.ingestion.sources.auxip import odata_date, published
from refsys.services.ingestion.sources.http import RefusedError
from refsys.services.ingestion.sources.odata import ODataClient
from refsys.services.ingestion.stations import CadipStation

SPELLINGS = ("SessionId", "SessionID")  # of the property of Files; both are in the field


class _File(Row):
    id: Guid
    name: str
    session_id: SessionId
    channel: Channel
    block_number: int | None = Field(default=None, ge=0, le=10**6)
    final_block: bool = False
    publication_date: AwareDatetime
    size: int = Field(ge=0)
    retransfer: bool = False

    def listed(self, satellite: str) -> ListedFile:
        """The file; the interface has no checksum, only the size can be verified."""
        return ListedFile(
            id=self.id,
            name=self.name,
            size=self.size,
            publication_date=self.publication_date,
            session=SessionFile(
                session_id=self.session_id,
                satellite=satellite,
                channel=self.channel,
                block_number=self.block_number,
                final_block=self.final_block,
                retransfer=self.retransfer,
            ),
        )


class _Reception(Row):
    quality_info: list[Any] | None = None


class CadipSource:
    """Sessions of one station and their files."""

    def __init__(self, station: CadipStation) -> None:
        """Nothing is requested before the first use."""
        self._client = ODataClient(station)
        self._spelling: str | None = None  # known once a filter with it found something

    def listed(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """The files of all sessions published at or after `since`."""
        for page in self.sessions(since):
            for session in page:
                yield from self.files(session.session_id, session.satellite)

    def sessions(self, since: datetime | None) -> Iterator[list[Session]]:
        """Pages of sessions with PublicationDate at or after `since`, oldest first."""
        return self._client.pages("Sessions", published(since), Session)

    def files(self, session_id: str, satellite: str) -> Iterator[list[ListedFile]]:
        """Pages of all files of a session, also of its retransfers, oldest first."""
        understood = False  # a station understands one spelling; a session may have no files yet
        for spelling in (self._spelling,) if self._spelling else SPELLINGS:
            query = {"$filter": f"{spelling} eq '{session_id}'", "$orderby": "PublicationDate asc"}
            found = False
            try:
                for page in self._client.pages("Files", query, _File):
                    found = found or bool(page)
                    yield [file.listed(satellite) for file in page if file.session_id == session_id]
                understood = True
            except RefusedError:
                if found or self._spelling or (spelling == SPELLINGS[-1] and not understood):
                    raise
            if found:
                self._spelling = spelling
                return

    def retransferred(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """Pages of the files of all sessions that were retransferred at or after `since`; without satellite."""
        terms = ["Retransfer eq true"] + ([f"PublicationDate ge {odata_date(since)}"] if since else [])
        query = {"$filter": " and ".join(terms), "$orderby": "PublicationDate asc"}
        for page in self._client.pages("Files", query, _File):
            yield [file.listed("") for file in page if file.retransfer]

    def quality(self, identifier: str) -> list[Quality]:
        """What is known of the reception of a session, by the `Id` of its entity."""
        found = self._client.entity(f"Sessions({identifier})", {"$expand": "QualityInfo"}, _Reception)
        return self._client.read(found.quality_info or [], Quality)

    def content(self, file: ListedFile) -> Iterator[bytes]:
        """The bytes of a file."""
        return self._client.content(f"Files({file.id})/$value", file.size)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
