"""Stations that are trees of files: XBIP and EDIP (reference-system.md §3.3), watched folders."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import AnyUrl, Field, FileUrl, UrlConstraints, model_validator

from refsys.services.ingestion.stations.common import StationBase, UserStation

FtpsUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["ftps"], host_required=True)]
HttpsUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["https"], host_required=True)]
TreePath = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$", max_length=255)
]


class TreeStation(UserStation):
    """A tree of files on a server that asks who reads it."""

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        if self.username is None and self.client_certificate_file is None:
            raise ValueError("no credentials; set username and password_file, or client_certificate_file")
        return self


class XbipStation(TreeStation):
    """An X-band station: sessions over WebDAV (reference-system.md §3.3)."""

    type: Literal["xbip"] = "xbip"
    url: HttpsUrl


class EdipStation(TreeStation):
    """An EDRS station: sessions over FTPS (reference-system.md §3.3).

    `backup_url` is the second site, used while the first doesn't answer; `directories` are those that are read.
    """

    type: Literal["edip"] = "edip"
    url: FtpsUrl
    backup_url: FtpsUrl | None = None
    directories: list[TreePath] = Field(default=["NOMINAL"], min_length=1, max_length=32)
    poll_seconds: float = Field(default=300, gt=0, le=3600)


class FolderStation(StationBase):
    """A watched directory tree; a file is taken once it did not change for `settle_seconds`."""

    type: Literal["folder"] = "folder"
    url: FileUrl
    settle_seconds: float = Field(default=30, ge=0, le=86400)
    history_days: float | None = Field(default=None, gt=0, le=36500)

    @model_validator(mode="after")
    def _seen_in_time(self) -> Self:
        if not self.url.path or self.url.host:
            raise ValueError("url names a directory of this machine, as file:///path")
        if self.overlap_seconds < self.settle_seconds + 2 * self.poll_seconds:
            raise ValueError("overlap_seconds must be at least settle_seconds and two poll_seconds together; raise it")
        return self

    @property
    def folder(self) -> Path:
        """The directory."""
        return Path(unquote(self.url.path or ""))
