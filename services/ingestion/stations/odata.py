"""Stations that speak OData: AUXIP and PRIP (ESA-EOPG-EOPGC-IF-3), CADIP, long-term archives."""

from typing import Literal, Self

from pydantic import Field, HttpUrl, model_validator

from refsys.services.common.families import Family
from refsys.services.common.settings import ReadableFile
from refsys.services.ingestion.stations.common import UserStation


class ODataStation(UserStation):
    """An OData station at `url`, up to `/odata/v1`.

    With `token_url` it is asked with access tokens, by the grant `password` where there is a user, else
    `client_credentials`; without, with HTTP Basic or with the client certificate alone.
    """

    url: HttpUrl
    token_url: HttpUrl | None = None
    client_id: str | None = None
    client_secret_file: ReadableFile | None = None
    page_size: int = Field(default=500, ge=1, le=1000)

    @model_validator(mode="after")
    def _credentials(self) -> Self:
        if (self.token_url is None) != (self.client_id is None):
            raise ValueError("token_url and client_id go together; set both or none")
        if self.client_secret_file and self.token_url is None:
            raise ValueError("client_secret_file is for tokens; set token_url and client_id as well")
        if self.token_url and self.username is None and self.client_secret_file is None:
            raise ValueError("no credentials for tokens; set username and password_file, or client_secret_file")
        if not (self.token_url or self.username or self.client_certificate_file):
            raise ValueError(
                "no credentials; set those for tokens, username and password_file, or a client certificate"
            )
        return self


class AuxipStation(ODataStation):
    """A station of auxiliary files (`auxip`) or products (`prip`)."""

    type: Literal["auxip", "prip"] = "auxip"
    poll_seconds: float = Field(default=10, gt=0, le=3600)
    history_days: float | None = Field(default=None, gt=0, le=36500)


class CadipStation(ODataStation):
    """A station of downlink sessions (reference-system.md §3.1)."""

    type: Literal["cadip"] = "cadip"

    @model_validator(mode="after")
    def _sessions_only(self) -> Self:
        for inbox in self.inboxes:
            if inbox.family != Family.EDRS_SESSION:
                raise ValueError(f"inboxes of a cadip station are of family EDRS_SESSION, not {inbox.family}")
        return self


class LtaStation(ODataStation):
    """A long-term archive: OData as a PRIP, with products that are ordered (reference-system.md §3.4).

    `on_demand`: it is not read for new products; only what users of the PRIP order is fetched.
    """

    type: Literal["lta"] = "lta"
    token_url: HttpUrl
    client_id: str
    on_demand: bool = False
