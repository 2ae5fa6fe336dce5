"""What the OData stations have in common: access tokens, pages of rows, downloads that are resumed."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, Field, ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from refsys.services.common.logs import get_logger
from refsys.services.common.names import shown
from refsys.services.common.settings import secret
from refsys.services.ingestion.errors import StationBusyError, StationError
from refsys.services.ingestion.sources.http import PLAIN, answers, body, check, plain
from refsys.services.ingestion.sources.resume import after, resumed
from refsys.services.ingestion.sources.token import Tokens
from refsys.services.ingestion.sources.transport import Transport
from refsys.services.ingestion.stations.odata import ODataStation

CONNECT_SECONDS = 10.0
TRIES = 3  # of a request
ACCEPTED = {"GET": (200, 206), "POST": (200, 201, 202)}
ROWS_LIMIT = 5_000_000  # of one listing

R = TypeVar("R", bound=BaseModel)

log = get_logger()


class _Page(BaseModel):
    value: list[Any]
    next_link: str | None = Field(default=None, alias="@odata.nextLink")


class ODataClient:
    """One OData station. Threads may share it; the token is renewed before it ends and after a 401."""

    def __init__(self, station: ODataStation) -> None:
        """Nothing is requested before the first use."""
        self.station = station
        self._base = str(station.url).rstrip("/") + "/"
        self._http = httpx.Client(
            transport=Transport(station.tls(), station.connections + 4),
            timeout=httpx.Timeout(station.timeout_seconds, connect=min(CONNECT_SECONDS, station.timeout_seconds)),
            trust_env=False,
            headers=PLAIN,
        )
        self._tokens = Tokens(station)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def pages(self, path: str, query: Mapping[str, str], model: type[R]) -> Iterator[list[R]]:
        """Pages of the rows of an entity set, with `$top` from the station's page size.

        A row that can't be read is left out and logged; it must not hold back the others.
        """
        size = self.station.page_size
        query = {**query, "$top": str(size)}
        skip = 0
        first = httpx.URL(self._base + path, params=query)
        url: httpx.URL | None = first
        while url is not None:
            page = self._json(url, _Page)
            yield self.read(page.value, model)
            skip += len(page.value)
            if skip > ROWS_LIMIT:
                raise StationError(f"station {self.station.name}: listing has over {ROWS_LIMIT} rows")
            if page.next_link:
                url = self._same_origin(url, page.next_link) if page.value else None
            elif len(page.value) < size:
                url = None
            else:
                url = first.copy_merge_params({"$skip": str(skip)})

    def entity(self, path: str, query: Mapping[str, str], model: type[R]) -> R:
        """One entity."""
        return self._json(httpx.URL(self._base + path, params=query), model)

    def post(self, path: str, model: type[R]) -> R:
        """What the station answers to an action without parameters; it is not tried again."""
        url = httpx.URL(self._base + path)
        with self._stream("POST", url, {"Accept": "application/json", "Content-Type": "application/json"}) as response:
            text = body(response, self.station.name)
        return self._parsed(text, model, url)

    def read(self, rows: list[Any], model: type[R]) -> list[R]:
        """The rows that can be read; the others are logged."""
        return [entity for row in rows if (entity := self._read(row, model)) is not None]

    def content(self, path: str, size: int | None) -> Iterator[bytes]:
        """The bytes of a media stream, `size` of them; a cut connection is resumed where it broke.

        Raises `StationError` when there is no progress, `ContentError` for more or fewer bytes than announced.
        """
        return resumed(lambda position: self._bytes_from(path, position), size, self.station.name)

    def _bytes_from(self, path: str, position: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={position}-"} if position else {}
        with self._stream("GET", httpx.URL(self._base + path), headers) as response:
            chunks = plain(response, self.station.name)
            if position and response.status_code == 200:  # the station ignores ranges
                chunks = after(position, chunks)
            elif position and not response.headers.get("Content-Range", "").startswith(f"bytes {position}-"):
                raise StationError(f"station {self.station.name}: wrong Content-Range for bytes from {position}")
            yield from chunks

    def _json(self, url: httpx.URL, model: type[R]) -> R:
        tries = Retrying(
            retry=retry_if_exception_type(StationBusyError),
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential_jitter(multiplier=0.5, max=10),
            reraise=True,
        )
        found: R = tries(self._asked, url, model)
        return found

    def _asked(self, url: httpx.URL, model: type[R]) -> R:
        with self._stream("GET", url, {"Accept": "application/json"}) as response:
            text = body(response, self.station.name)
        return self._parsed(text, model, url)

    def _parsed(self, text: bytes, model: type[R], url: httpx.URL) -> R:
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            what = f"station {self.station.name}: answer for {url.path} is unusable"
            cut_off = error.errors()[0]["type"] == "json_invalid"
            raise (StationBusyError if cut_off else StationError)(f"{what}: {_reasons(error)}") from None

    @contextmanager
    def _stream(self, method: str, url: httpx.URL, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """An answer; asked for once more with a new token after a 401. The token stays with the station's host."""
        refused = ""
        while True:
            authorization = self._authorization(refused)
            content = b"{}" if method == "POST" else None
            with answers(self.station.name):
                request = self._http.build_request(method, url, headers=headers | authorization, content=content)
                response = self._http.send(request, stream=True, follow_redirects=True)
                try:
                    if response.status_code == 401 and not refused and self.station.token_url:
                        refused = authorization["Authorization"].removeprefix("Bearer ")
                        continue
                    check(response, self.station.name, *ACCEPTED[method])
                    yield response
                    return
                finally:
                    response.close()

    def _authorization(self, refused: str) -> dict[str, str]:
        station = self.station
        if station.token_url:
            return {"Authorization": f"Bearer {self._tokens.valid(self._http, refused=refused)}"}
        if station.username is None or station.password_file is None:
            return {}
        pair = f"{station.username}:{secret(station.password_file)}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    def _same_origin(self, page: httpx.URL, link: str) -> httpx.URL:
        base = httpx.URL(self._base)
        with answers(self.station.name):
            url = page.join(link)
        if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
            raise StationError(f"station {self.station.name}: nextLink leads elsewhere: {url.scheme}://{url.host}")
        return url

    def _read(self, row: object, model: type[R]) -> R | None:
        try:
            return model.model_validate(row)
        except ValidationError as error:
            what = {"row": shown(str(row)), "reason": _reasons(error)}
            log.error("station lists an unusable row", station=self.station.name, **what)
            return None


def _reasons(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)[:5]
    return "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
