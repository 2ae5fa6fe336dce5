"""The interface between the clients of stations and the ingestion."""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from refsys.services.common.messages import Checksum


class SessionFile(BaseModel):
    """A file of a downlink session: fields of a CADIP File (reference-system.md §3.1), or what the path tells."""

    model_config = ConfigDict(frozen=True)

    session_id: str
    satellite: str
    station_unit: str = ""
    channel: int
    block_number: int | None
    final_block: bool
    retransfer: bool


class ListedFile(BaseModel):
    """What a station offers; every value is untrusted.

    `id` is unique and stable within the station: the OData Id, or the path below the station's address. `path` is
    the path below the station's address for tree stations, else empty. `size` is in bytes, None where the station
    doesn't tell it before the download. `publication_date` is by the station's own clock, for tree stations the last
    modification. `checksums` are those that can be verified. `session` is set for files of downlink sessions.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(min_length=1, max_length=1024)
    name: str
    path: str = ""
    size: int | None = Field(ge=0)
    publication_date: AwareDatetime
    checksums: list[Checksum] = Field(default_factory=list)
    session: SessionFile | None = None


class Source(Protocol):
    """A client of one station; threads may share it. Its constructor requests nothing."""

    def listed(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """Pages of bounded size, oldest first where the station can.

        `since` is inclusive; None means everything within the station's history.
        """
        ...

    def content(self, file: ListedFile) -> Iterator[bytes]:
        """The bytes in chunks of at most 1 MiB; resumes after a broken connection where the protocol can.

        Raises `StationError`, `StationBusyError` and `ContentError`.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
