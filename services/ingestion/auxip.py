"""Client of a station's AUXIP/PRIP interface (ESA-EOPG-EOPGC-IF-3): OData listing and download."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from refsys.services.common.digests import standard_name
from refsys.services.common.logs import get_logger
from refsys.services.common.messages import Checksum, iso
from refsys.services.common.names import shown
from refsys.services.common.settings import secret
from refsys.services.ingestion.stations import Station

TIMEOUT = httpx.Timeout(30, connect=10)
CHUNK_BYTES = 2**20
TOKEN_MARGIN_SECONDS = 30
TRIES = 3  # of a request, and of a download without any progress
LISTING_LIMIT_BYTES = 64 * 2**20

log = get_logger()


class StationError(Exception):
    """A station did not do what it was asked; trying again later may help."""


class StationBusyError(StationError):
    """A passing trouble: no answer, a broken connection, a 5xx or 429."""


class ContentError(Exception):
    """What a station delivers is not what it announced."""


class _ListedChecksum(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal, extra="ignore")

    algorithm: str
    value: str
    checksum_date: AwareDatetime | None = None


class ListedProduct(BaseModel):
    """A product as a station lists it; the name is untrusted."""

    model_config = ConfigDict(alias_generator=to_pascal, extra="ignore")

    id: str = Field(pattern=r"^[0-9A-Za-z-]{1,64}$")
    name: str
    content_length: int = Field(ge=0)
    publication_date: AwareDatetime
    checksum: list[_ListedChecksum] = Field(default_factory=list)

    def checksums(self) -> list[Checksum]:
        """The checksums in algorithms that can be verified, under their standard names."""
        return [
            Checksum(
                algorithm=name, value=item.value.lower(), checksum_date=item.checksum_date or self.publication_date
            )
            for item in self.checksum
            if (name := standard_name(item.algorithm))
        ]


class AuxipClient:
    """One station. Threads may share it; the token is renewed before it ends and after a 401."""

    def __init__(self, station: Station) -> None:
        """Nothing is requested before the first use."""
        self.station = station
        self._base = str(station.url).rstrip("/") + "/"
        context = ssl.create_default_context()
        if station.ca_file:
            context.load_verify_locations(cafile=str(station.ca_file))
        self._http = httpx.Client(
            verify=context, timeout=TIMEOUT, trust_env=False, limits=httpx.Limits(max_connections=16)
        )
        self._token_lock = threading.Lock()
        self._token = ""
        self._token_end = 0.0

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def published_since(self, since: datetime | None) -> Iterator[list[ListedProduct]]:
        """Pages of products with PublicationDate at or after `since`, oldest first.

        A row that can't be read is left out and logged; it must not hold back the others.
        """
        size = self.station.page_size
        query = {"$orderby": "PublicationDate asc", "$top": str(size)}
        if since is not None:
            query["$filter"] = f"PublicationDate ge {iso(since)[:-4]}Z"
        skip = 0
        url: httpx.URL | None = httpx.URL(self._base + "Products", params=query)
        while url is not None:
            body = self._listing(url)
            rows = body.get("value")
            if not isinstance(rows, list):
                raise StationError(f"station {self.station.name}: listing has no `value` array: {url}")
            yield [product for row in rows if (product := self._product(row))]
            skip += len(rows)
            link = body.get("@odata.nextLink")
            if link:
                url = self._same_origin(url.join(link))
            elif len(rows) < size:
                url = None
            else:
                url = httpx.URL(self._base + "Products", params={**query, "$skip": str(skip)})

    def download(self, product_id: str, size: int) -> Iterator[bytes]:
        """The bytes of a product, `size` of them; a cut connection is resumed where it broke.

        Raises `StationError` when there is no progress, `ContentError` for more bytes than announced.
        """
        position, tries = 0, 0
        while True:
            start = position
            try:
                for chunk in self._bytes_from(product_id, position):
                    position += len(chunk)
                    if position > size:
                        raise ContentError(f"station delivers more than the announced {size} bytes")
                    yield chunk
                if position == size:
                    return
                reason = f"connection ended after {position} of {size} bytes"
            except (StationBusyError, httpx.TransportError) as error:
                reason = f"{type(error).__name__}: {error}"
            tries = 1 if position > start else tries + 1
            if tries >= TRIES:
                raise StationBusyError(f"station {self.station.name}: download failed: {reason}")
            log.warning("download broken, resuming", station=self.station.name, position=position, reason=reason)
            time.sleep(0.5 * 2**tries)

    def _bytes_from(self, product_id: str, position: int) -> Iterator[bytes]:
        headers = {"Accept-Encoding": "identity"}
        if position:
            headers["Range"] = f"bytes={position}-"
        url = httpx.URL(f"{self._base}Products({product_id})/$value")
        with self._stream(url, headers) as response:
            skip = 0
            if position and response.status_code == 200:
                skip = position  # the station ignores ranges: read over what is there already
            elif position and not response.headers.get("Content-Range", "").startswith(f"bytes {position}-"):
                raise StationError(f"station {self.station.name}: wrong Content-Range for bytes from {position}")
            for chunk in response.iter_raw(CHUNK_BYTES):
                if skip >= len(chunk):
                    skip -= len(chunk)
                    continue
                yield chunk[skip:] if skip else chunk
                skip = 0

    @retry(
        retry=retry_if_exception_type((httpx.TransportError, StationBusyError)),
        stop=stop_after_attempt(TRIES),
        wait=wait_exponential_jitter(multiplier=0.5, max=10),
        reraise=True,
    )
    def _listing(self, url: httpx.URL) -> dict[str, Any]:
        with self._stream(url, {"Accept": "application/json"}) as response:
            text = bytearray()
            for chunk in response.iter_bytes():
                text += chunk
                if len(text) > LISTING_LIMIT_BYTES:
                    raise StationError(f"station {self.station.name}: a page has over {LISTING_LIMIT_BYTES} bytes")
        try:
            body = httpx.Response(200, content=bytes(text)).json()
        except ValueError as error:
            raise StationBusyError(f"station {self.station.name}: listing is not JSON: {error}") from None
        if not isinstance(body, dict):
            raise StationError(f"station {self.station.name}: listing is not a JSON object")
        return body

    @contextmanager
    def _stream(self, url: httpx.URL, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """GET with a token; once more with a new token after a 401. The token stays with the station's host."""
        for renewed in (False, True):
            request = self._http.build_request("GET", url, headers=headers | self._authorization(renewed))
            response = self._http.send(request, stream=True, follow_redirects=True)
            try:
                if response.status_code == 401 and not renewed:
                    continue
                self._check(response)
                yield response
                return
            finally:
                response.close()

    def _check(self, response: httpx.Response) -> None:
        if response.status_code in (200, 206):
            return
        what = f"station {self.station.name}: HTTP {response.status_code} for {response.request.url.path}"
        if response.status_code == 429 or response.is_server_error:
            raise StationBusyError(what)
        raise StationError(what)

    def _authorization(self, renew: bool) -> dict[str, str]:
        with self._token_lock:
            if renew or time.monotonic() >= self._token_end:
                self._fetch_token()
            return {"Authorization": f"Bearer {self._token}"}

    def _fetch_token(self) -> None:
        station = self.station
        form = {"client_id": station.client_id}
        if station.client_secret_file:
            form["client_secret"] = secret(station.client_secret_file)
        if station.username and station.password_file:
            form |= {
                "grant_type": "password",
                "username": station.username,
                "password": secret(station.password_file),
            }
        else:
            form["grant_type"] = "client_credentials"
        response = self._http.post(str(station.token_url), data=form)
        what = f"station {station.name}: token end point answers HTTP {response.status_code}"
        if response.status_code == 429 or response.is_server_error:
            raise StationBusyError(what)
        if response.status_code != 200:
            raise StationError(f"{what}; check client_id and credentials")
        try:
            body = response.json()
            self._token = str(body["access_token"])
            lifetime = float(body.get("expires_in", 60))
        except (ValueError, KeyError, TypeError) as error:
            raise StationError(f"station {station.name}: token answer is unusable: {error!r}") from None
        self._token_end = time.monotonic() + max(lifetime - TOKEN_MARGIN_SECONDS, lifetime / 2)

    def _same_origin(self, url: httpx.URL) -> httpx.URL:
        base = httpx.URL(self._base)
        if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
            raise StationError(f"station {self.station.name}: nextLink leads elsewhere: {url.scheme}://{url.host}")
        return url

    def _product(self, row: object) -> ListedProduct | None:
        try:
            return ListedProduct.model_validate(row)
        except ValidationError as error:
            reasons = "; ".join(f"{problem['loc']}: {problem['msg']}" for problem in error.errors())
            log.error("station lists an unusable row", station=self.station.name, row=shown(str(row)), reason=reasons)
            return None
