"""What the demo needs to know of an environment: how its users reach it, and which stations it expects to be played."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, HttpUrl

XBIP_FOLDER = "/xbip"
"""Where on the XBIP station the tree is."""
AUXILIARY_DIRECTORY = "S1_AUX"
"""Of the EDIP station (reference-system.md §3.3)."""
CODE = "DEMO"
"""The four characters of the demo's stations in messages and in the CADIP."""
DOWNLINK = datetime(2024, 2, 29, tzinfo=UTC)
"""The demo's sessions are received in the first minutes of a leap day: its sampling window is open to few others."""
DOWNLINK_MINUTES = 5
WINDOW = {"start": f"{DOWNLINK:%-M %-H %-d %-m} *", "minutes": DOWNLINK_MINUTES}


class DemoStation(BaseModel):
    """A station that the environment is configured to poll, to be played by the demo.

    `client_id` is for tokens of OData stations; `passive_ports` the ports, first and last, of the data connections
    of an EDIP station.
    """

    name: str
    type: Literal["auxip", "cadip", "xbip", "edip"]
    host: str
    port: int
    certificate_file: Path
    key_file: Path
    username: str
    password: str
    client_id: str | None = None
    passive_ports: tuple[int, int] | None = None


class Endpoints(BaseModel):
    """Addresses and credentials of an outside client.

    `prip_url` and `cadip_url` are the services' roots without `/odata/v1`, `stac_url` the STAC API's landing page,
    `metadata_url` the metadata search, `ondemand_url` and `operations_url` those of production, where there is one,
    `token_url` the realm's token endpoint, `ca_file` the certificate authority of all of them.
    """

    prip_url: HttpUrl
    stac_url: HttpUrl
    cadip_url: HttpUrl
    metadata_url: HttpUrl
    ondemand_url: HttpUrl | None = None
    operations_url: HttpUrl | None = None
    token_url: HttpUrl
    client_id: str
    username: str
    password: str
    ca_file: Path
    stations: list[DemoStation]
