"""Access tokens of OData stations (reference-system.md §3.0)."""

import threading
import time

import httpx
from pydantic import BaseModel, Field, ValidationError

from refsys.services.common.settings import secret
from refsys.services.ingestion.errors import StationError
from refsys.services.ingestion.sources.http import answers, body, check
from refsys.services.ingestion.stations.odata import ODataStation

MARGIN_SECONDS = 30.0


class _Answer(BaseModel):
    access_token: str = Field(min_length=1, max_length=65536)
    expires_in: float = Field(default=60, ge=0)


class Tokens:
    """Bearer tokens by the grants `password` or `client_credentials`; threads may share them."""

    def __init__(self, station: ODataStation) -> None:
        """Nothing is requested before the first use."""
        self._station = station
        self._lock = threading.Lock()
        self._token = ""
        self._end = 0.0

    def valid(self, client: httpx.Client, *, refused: str = "") -> str:
        """The current token, or a new one when it ends or is the one that was `refused`."""
        with self._lock:
            if time.monotonic() >= self._end or self._token == refused:
                self._fetch(client)
            return self._token

    def _fetch(self, client: httpx.Client) -> None:
        station = self._station
        form = {"client_id": station.client_id or "", "grant_type": "client_credentials"}
        if station.client_secret_file:
            form["client_secret"] = secret(station.client_secret_file)
        if station.username and station.password_file:
            form |= {
                "grant_type": "password",
                "username": station.username,
                "password": secret(station.password_file),
            }
        with answers(station.name), client.stream("POST", str(station.token_url), data=form) as response:
            if response.status_code in (400, 401, 403):
                what = f"station {station.name}: token end point answers HTTP {response.status_code}"
                raise StationError(f"{what}; check client_id and credentials")
            check(response, station.name, 200)
            text = body(response, station.name)
        try:
            answer = _Answer.model_validate_json(text)
        except ValidationError as error:
            reason = "; ".join(str(problem["msg"]) for problem in error.errors(include_input=False))
            raise StationError(f"station {station.name}: token answer is unusable: {reason}") from None
        self._token = answer.access_token
        self._end = time.monotonic() + max(answer.expires_in - MARGIN_SECONDS, answer.expires_in / 2)
