"""Downlink sessions as a CADIP station tells of them (reference-system.md §3.1); every value is untrusted."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Protocol, runtime_checkable

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from refsys.services.ingestion.source import ListedFile, Source

MAX_CHANNELS = 16

Guid = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,64}$")]
SessionId = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_]{1,64}$", validation_alias=AliasChoices("SessionId", "SessionID")),
]
Channel = Annotated[int, Field(ge=1, le=99)]


class Row(BaseModel):
    """A row of an OData entity set: names as in the interface, others ignored."""

    model_config = ConfigDict(alias_generator=to_pascal, extra="ignore", frozen=True)


class Session(Row):
    """An entity Session; the flags and plans of the antenna are not needed here."""

    id: Guid
    session_id: SessionId
    num_channels: int = Field(ge=1, le=MAX_CHANNELS)
    publication_date: AwareDatetime
    satellite: str = Field(pattern=r"^[A-Z0-9]{1,8}$")
    station_unit_id: str | None = Field(default=None, max_length=64)
    downlink_orbit: int | None = None
    acquisition_id: str | None = Field(default=None, max_length=64)
    retransfer: bool = False
    downlink_start: AwareDatetime | None = None
    downlink_stop: AwareDatetime | None = None


class Quality(Row):
    """An entity QualityInfo: how well a channel was received."""

    channel: Channel
    acquired_tfs: int | None = Field(default=None, alias="AcquiredTFs")
    error_tfs: int | None = Field(default=None, alias="ErrorTFs")
    corrected_tfs: int | None = Field(default=None, alias="CorrectedTFs")
    uncorrectable_tfs: int | None = Field(default=None, alias="UncorrectableTFs")
    data_tfs: int | None = Field(default=None, alias="DataTFs")
    error_data_tfs: int | None = Field(default=None, alias="ErrorDataTFs")
    corrected_data_tfs: int | None = Field(default=None, alias="CorrectedDataTFs")
    uncorrectable_data_tfs: int | None = Field(default=None, alias="UncorrectableDataTFs")
    delivery_start: AwareDatetime | None = None
    delivery_stop: AwareDatetime | None = None
    total_chunks: int | None = None
    total_volume: int | None = None


@runtime_checkable
class SessionSource(Source, Protocol):
    """A station that tells of its sessions beside their files."""

    def sessions(self, since: datetime | None) -> Iterator[list[Session]]:
        """Pages of sessions with PublicationDate at or after `since`, oldest first."""
        ...

    def files(self, session_id: str, satellite: str) -> Iterator[list[ListedFile]]:
        """Pages of all files of a session, also of its retransfers, oldest first."""
        ...

    def retransferred(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """Pages of the files of all sessions that were retransferred at or after `since`; without satellite."""
        ...

    def quality(self, identifier: str) -> list[Quality]:
        """What is known of the reception of a session, by the `Id` of its entity."""
        ...
