"""A client as an outside user writes one: OData, STAC and REST over HTTPS with a token of the realm."""

import ssl
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import quote

import httpx
from pydantic import HttpUrl

from refsys.infra.demo.content import BLOCK_BYTES, Content, measured
from refsys.infra.demo.endpoints import Endpoints
from refsys.infra.errors import UserError

TIMEOUT_SECONDS = 60
TOKEN_MARGIN_SECONDS = 30
NAMES_IN_QUERY = 20
PAGE = 1000
Row = dict[str, Any]


class Client:
    """One user's session with all services; gets a new token when the old one ends."""

    def __init__(self, endpoints: Endpoints) -> None:
        """Nothing is requested before the first call."""
        self._endpoints = endpoints
        self._prip, self._stac, self._cadip, self._metadata = map(
            _root, (endpoints.prip_url, endpoints.stac_url, endpoints.cadip_url, endpoints.metadata_url)
        )
        trusted = ssl.create_default_context(cafile=str(endpoints.ca_file))
        self._http = httpx.Client(verify=trusted, timeout=TIMEOUT_SECONDS, trust_env=False)
        self._token = ""
        self._token_until = 0.0

    def __enter__(self) -> Self:
        """Begin the session."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self._http.close()

    def products(self, names: Sequence[str]) -> list[Row]:
        """The products with these names in the PRIP."""
        found: list[Row] = []
        for part in _parts(names):
            query = {"$filter": f"Name in ({','.join(map(_quoted, part))})", "$top": str(PAGE)}
            found += self._get(f"{self._prip}/odata/v1/Products", query)["value"]
        return found

    def product_address(self, product: Row) -> str:
        """Where the bytes of a product of the PRIP are."""
        return f"{self._prip}/odata/v1/Products({product['Id']})/$value"

    def items(self, names: Sequence[str]) -> list[Row]:
        """The STAC items with these ids."""
        found: list[Row] = []
        for part in _parts(names):
            answer = self._http.post(
                f"{self._stac}/search", json={"ids": part, "limit": PAGE}, headers=self._authorization()
            )
            found += self._checked(answer).json()["features"]
        return found

    def sessions(self, session_id: str) -> list[Row]:
        """The nominal sessions with an id in the CADIP."""
        query = {"$filter": f"SessionId eq {_quoted(session_id)} and Retransfer eq false", "$top": str(PAGE)}
        rows: list[Row] = self._get(f"{self._cadip}/odata/v1/Sessions", query)["value"]
        return rows

    def files(self, session_id: str) -> list[Row]:
        """The nominal files of a session in the CADIP, oldest first."""
        query = {
            "$filter": f"SessionId eq {_quoted(session_id)} and Retransfer eq false",
            "$orderby": "PublicationDate asc",
            "$top": str(PAGE),
        }
        rows: list[Row] = self._get(f"{self._cadip}/odata/v1/Files", query)["value"]
        return rows

    def file_address(self, file: Row) -> str:
        """Where the bytes of a file of the CADIP are."""
        return f"{self._cadip}/odata/v1/Files({file['Id']})/$value"

    def catalogued(self, session_id: str) -> list[Row]:
        """The files of a session in the metadata search, information blocks among them."""
        address = f"{self._metadata}/edrsSession/sessionId/{quote(session_id, safe='')}"
        rows: list[Row] = self._get(address, {"top": str(PAGE)})
        return rows

    def timeline(self, name: str) -> dict[str, datetime]:
        """When a product reached each step of the chain."""
        trace = self._get(f"{self._prip}/operations/v1/products/{quote(name, safe='')}/timeline", {})["trace"]
        return {step: datetime.fromisoformat(moment) for step, moment in trace.items()}

    def download(self, address: str) -> tuple[Content, float]:
        """Fetch a file of the PRIP or of the CADIP: what arrived, and the seconds it took; bytes are not kept."""
        started = time.monotonic()
        with self._http.stream("GET", address, headers=self._authorization()) as answer:
            if answer.is_error:
                answer.read()
            arrived = measured(self._checked(answer).iter_bytes(BLOCK_BYTES))
        return arrived, time.monotonic() - started

    def save(self, address: str, file: Path) -> Content:
        """Fetch a product into a file: what arrived."""
        with file.open("wb") as target, self._http.stream("GET", address, headers=self._authorization()) as answer:
            if answer.is_error:
                answer.read()
            return measured(_written(self._checked(answer).iter_bytes(BLOCK_BYTES), target))

    def _get(self, address: str, query: dict[str, str]) -> Any:
        return self._checked(self._http.get(address, params=query, headers=self._authorization())).json()

    def _authorization(self) -> dict[str, str]:
        if time.monotonic() > self._token_until:
            form = {
                "grant_type": "password",
                "client_id": self._endpoints.client_id,
                "username": self._endpoints.username,
                "password": self._endpoints.password,
            }
            answer = self._checked(self._http.post(str(self._endpoints.token_url), data=form))
            self._token = answer.json()["access_token"]
            self._token_until = time.monotonic() + answer.json()["expires_in"] - TOKEN_MARGIN_SECONDS
        return {"Authorization": f"Bearer {self._token}"}

    @staticmethod
    def _checked(answer: httpx.Response) -> httpx.Response:
        if answer.is_error:
            address = answer.request.url.copy_with(query=None)
            raise UserError(
                f"{answer.request.method} {address} answered {answer.status_code}: {answer.text[:500]}",
                fix="./refsys status; a 401 or 403 speaks of the demo user, a 5xx of the service's log",
            )
        return answer


def _written(chunks: Iterator[bytes], target: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        target.write(chunk)
        yield chunk


def _root(address: HttpUrl) -> str:
    return str(address).rstrip("/")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _parts(names: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), NAMES_IN_QUERY):
        yield list(names[start : start + NAMES_IN_QUERY])
