"""A PRIP client as an outside user writes one: OData over HTTPS with a token of the realm."""

import hashlib
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from refsys.infra.demo.endpoints import Endpoints
from refsys.infra.errors import UserError

TIMEOUT_SECONDS = 60
TOKEN_MARGIN_SECONDS = 30
NAMES_IN_FILTER = 20
# Names of the PRIP and of hashlib.
ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}


@dataclass(frozen=True)
class Download:
    """What arrived: size in bytes, checksums by PRIP algorithm name, seconds it took."""

    size: int
    checksums: dict[str, str]
    seconds: float


class PripClient:
    """One user's session; gets a new token when the old one ends."""

    def __init__(self, endpoints: Endpoints) -> None:
        """Nothing is requested before the first call."""
        self._endpoints = endpoints
        self._root = str(endpoints.prip_url).rstrip("/")
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

    def find(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the published products with these names."""
        found: list[dict[str, Any]] = []
        for start in range(0, len(names), NAMES_IN_FILTER):
            quoted = ",".join("'" + name.replace("'", "''") + "'" for name in names[start : start + NAMES_IN_FILTER])
            query = {"$filter": f"Name in ({quoted})", "$orderby": "PublicationDate asc", "$top": "1000"}
            found += self._get("/odata/v1/Products", query)["value"]
        return found

    def download(self, product_id: str) -> Download:
        """Fetch a product and return what arrived; the bytes are not kept."""
        digests = {name: hashlib.new(kind, usedforsecurity=False) for name, kind in ALGORITHMS.items()}
        size, started = 0, time.monotonic()
        address = f"{self._root}/odata/v1/Products({product_id})/$value"
        with self._http.stream("GET", address, headers=self._authorization()) as answer:
            if answer.is_error:
                answer.read()
            self._check(answer)
            for chunk in answer.iter_bytes(1 << 20):
                size += len(chunk)
                for digest in digests.values():
                    digest.update(chunk)
        checksums = {name: digest.hexdigest() for name, digest in digests.items()}
        return Download(size, checksums, time.monotonic() - started)

    def timeline(self, name: str) -> dict[str, datetime]:
        """Return when a product reached each step of the chain."""
        trace = self._get(f"/operations/v1/products/{name}/timeline", {})["trace"]
        return {step: datetime.fromisoformat(moment) for step, moment in trace.items()}

    def _get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        answer = self._http.get(self._root + path, params=query, headers=self._authorization())
        self._check(answer)
        body: dict[str, Any] = answer.json()
        return body

    def _authorization(self) -> dict[str, str]:
        if time.monotonic() > self._token_until:
            form = {
                "grant_type": "password",
                "client_id": self._endpoints.client_id,
                "username": self._endpoints.username,
                "password": self._endpoints.password,
            }
            answer = self._http.post(str(self._endpoints.token_url), data=form)
            self._check(answer)
            self._token = answer.json()["access_token"]
            self._token_until = time.monotonic() + answer.json()["expires_in"] - TOKEN_MARGIN_SECONDS
        return {"Authorization": f"Bearer {self._token}"}

    @staticmethod
    def _check(answer: httpx.Response) -> None:
        if answer.is_error:
            address = answer.request.url.copy_with(query=None)
            raise UserError(
                f"{answer.request.method} {address} answered {answer.status_code}: {answer.text[:500]}",
                fix="./refsys status; a 401 or 403 speaks of the demo user, a 5xx of the service's log",
            )
