"""What all stations of the stations file have, and the rules that say what is taken from them."""

import re
import ssl
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from refsys.services.common.families import SESSION_FAMILIES, Family
from refsys.services.common.messages import utc_now
from refsys.services.common.settings import ReadableFile
from refsys.services.ingestion.source import ListedFile

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
StationCode = Annotated[str, Field(pattern=r"^[A-Z0-9_]{4}$")]
Mission = Literal["S1", "S2", "S3"]


class Inbox(BaseModel):
    """A rule: files whose whole name matches `match` and not `ignore` belong to `family` and `mission`.

    `station` is the four-character code that messages carry (`MTI_`, `WILE`), `priority` the rank of the files
    among the new ones of a poll, the highest first.
    """

    model_config = ConfigDict(extra="forbid")

    match: re.Pattern[str]
    ignore: re.Pattern[str] | None = None
    family: Family
    mission: Mission
    station: StationCode | None = None
    priority: int = Field(default=0, ge=-1000, le=1000)

    def takes(self, file: ListedFile) -> bool:
        """Whether the rule takes a file; one of a session only if it is of the rule's mission."""
        if file.session and file.session.satellite and not file.session.satellite.startswith(self.mission):
            return False
        return bool(self.match.fullmatch(file.name)) and not (self.ignore and self.ignore.fullmatch(file.name))

    def family_of(self, file: ListedFile) -> Family:
        """The family of a file taken by this rule."""
        if self.family in SESSION_FAMILIES:
            again = file.session is not None and file.session.retransfer
            return Family.SESSION_RETRANSFER if again else Family.EDRS_SESSION
        return self.family


class StationBase(BaseModel):
    """What all stations have.

    `overlap_seconds` is how far behind its own cursor a poll looks again, `connections` how many files a worker
    fetches at the same time, `bandwidth_bytes` how many bytes a second it reads in all of them, `history_days`
    how far back the first poll looks (None: everything).
    """

    model_config = ConfigDict(extra="forbid")

    name: Name
    inboxes: list[Inbox] = Field(min_length=1)
    poll_seconds: float = Field(default=20, gt=0, le=3600)
    overlap_seconds: float = Field(default=2400, ge=0)
    timeout_seconds: float = Field(default=30, gt=0, le=3600)
    connections: int = Field(default=4, ge=1, le=64)
    bandwidth_bytes: int | None = Field(default=None, ge=1024)
    history_days: float | None = Field(default=7, gt=0, le=36500)

    @property
    def files_at_once(self) -> int:
        """How many files are in work: while one is completed in the object store, its connection serves the next."""
        return self.connections + 1

    def inbox_of(self, file: ListedFile) -> Inbox | None:
        """The first inbox that takes a file."""
        return next((inbox for inbox in self.inboxes if inbox.takes(file)), None)

    def code_of(self, inbox: Inbox) -> str:
        """The four-character code of the files of an inbox; without one, the station's name."""
        return inbox.station or self.name

    def start(self, since: datetime | None) -> datetime | None:
        """From when on files are listed: `since`, or where the history begins; None for all."""
        if since is None and self.history_days is not None:
            return utc_now() - timedelta(days=self.history_days)
        return since


class TlsStation(StationBase):
    """A station reached over TLS; `ca_file` adds to the authorities of the system."""

    ca_file: ReadableFile | None = None

    def tls(self) -> ssl.SSLContext:
        """TLS 1.2 or later with the station's name verified."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.ca_file:
            context.load_verify_locations(cafile=str(self.ca_file))
        return context


class UserStation(TlsStation):
    """A station that knows its user: by name and password, by a client certificate, or by both."""

    username: str | None = None
    password_file: ReadableFile | None = None
    client_certificate_file: ReadableFile | None = None
    client_key_file: ReadableFile | None = None

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together; set both or none")
        if (self.client_certificate_file is None) != (self.client_key_file is None):
            raise ValueError("client_certificate_file and client_key_file go together; set both or none")
        return self

    def tls(self) -> ssl.SSLContext:
        """Also with the client certificate, if there is one."""
        context = super().tls()
        if self.client_certificate_file and self.client_key_file:
            context.load_cert_chain(self.client_certificate_file, self.client_key_file)
        return context
