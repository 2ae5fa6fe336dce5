"""What the demo needs to know of an environment: how its users reach it, and where it expects its station."""

from pathlib import Path

from pydantic import BaseModel, HttpUrl


class DemoStation(BaseModel):
    """The auxiliary-data station that the environment is configured to poll, to be played by the demo."""

    host: str
    port: int
    certificate_file: Path
    key_file: Path
    username: str
    password: str
    client_id: str


class Endpoints(BaseModel):
    """Addresses and credentials of an outside client.

    `prip_url` is the service's root without `/odata/v1`, `token_url` the realm's token endpoint, `ca_file` the
    certificate authority of both.
    """

    prip_url: HttpUrl
    token_url: HttpUrl
    client_id: str
    username: str
    password: str
    ca_file: Path
    station: DemoStation
