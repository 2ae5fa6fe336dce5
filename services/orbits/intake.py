"""Reads files from the AUXIP as they are published: each once, whatever happens in between."""

import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

from prometheus_client import Counter, Gauge
from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.exc import DBAPIError

from refsys.services.catalogue.xml import UnreadableError
from refsys.services.common import logs
from refsys.services.common.digests import Digests
from refsys.services.common.messages import utc_now
from refsys.services.common.settings import ReadableFile
from refsys.services.ingestion.errors import ContentError, StationError
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.auxip import Product, odata_date
from refsys.services.ingestion.sources.odata import ODataClient
from refsys.services.ingestion.stations import AuxipStation
from refsys.services.orbits.known import Known
from refsys.services.orbits.readers import ACQUISITIONS, CONTACTS, ORBITS, RECEIVED, read, wanted

SOURCE = "AUXIP"
CHAIN = "APPLICATIONS"
OVERLAP = timedelta(seconds=2400)
SIZE_LIMIT = 64 * 2**20

FILES = Counter("refsys_orbits_files_total", "Files of the AUXIP, by what became of them", ["outcome"])
LAST = Gauge("refsys_orbits_last_poll_timestamp_seconds", "When the AUXIP was last read to its end")
FAILED = Counter("refsys_orbits_poll_failures_total", "Polls of the AUXIP that failed", ["why"])

log = logs.get_logger()


class ClientSettings(BaseSettings):
    """As which client other services are asked: tokens by the grant `client_credentials`."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_OAUTH_")

    token_url: HttpUrl
    client_id: str = Field(min_length=1)
    client_secret_file: ReadableFile
    ca_file: ReadableFile | None = None


class AuxipSettings(BaseSettings):
    """Where the AUXIP is, how often it is read, and how far back at first."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_AUXIP_")

    url: HttpUrl
    poll_seconds: float = Field(default=60, gt=0, le=3600)
    history_days: float = Field(default=30, gt=0, le=3650)


def station(name: str, url: HttpUrl, client: ClientSettings) -> AuxipStation:
    """Return an OData service of the environment as a station of the ingestion's client."""
    return AuxipStation.model_validate(
        {
            "name": name,
            "url": f"{str(url).rstrip('/')}/odata/v1",
            "inboxes": [{"match": ".*", "family": "AUXILIARY_FILE", "mission": "S1"}],
            "token_url": client.token_url,
            "client_id": client.client_id,
            "client_secret_file": Path(client.client_secret_file),
            "ca_file": client.ca_file,
        }
    )


class Intake:
    """Reads the AUXIP."""

    def __init__(self, known: Known, client: ODataClient, settings: AuxipSettings) -> None:
        """Nothing is requested before the first poll."""
        self._known, self._client, self._settings = known, client, settings

    def run(self, stop: threading.Event) -> None:
        """Poll until asked to stop; a poll that fails is tried again at the next."""
        while not stop.is_set():
            try:
                self.poll()
            except StationError as error:
                FAILED.labels("station").inc()
                log.warning("the AUXIP could not be read; it is tried again", reason=str(error))
            except DBAPIError as error:
                FAILED.labels("database").inc()
                log.warning("the database does not answer; it is tried again", reason=str(error.orig)[:300])
            stop.wait(self._settings.poll_seconds)

    def poll(self) -> int:
        """Read what was published since the last poll, and what may have become visible late; returns how many."""
        cursor = self._known.cursor(SOURCE)
        since = cursor - OVERLAP if cursor else utc_now() - timedelta(days=self._settings.history_days)
        added = 0
        for page in self._client.pages("Products", _query(since), Product):
            files = {product.name: product.listed() for product in page if wanted(product.name)}
            missing = self._known.missing(files)
            for name, file in files.items():
                if name in missing:
                    added += self._take(file)
            if page:
                self._known.advance(SOURCE, max(product.publication_date for product in page))
        LAST.set(time.time())
        return added

    def _take(self, file: ListedFile) -> int:
        with logs.task("IngestionTrigger", chain=CHAIN, mission=file.name[:2], filename=file.name) as task:
            try:
                content = self._content(file)
                task.size_bytes = len(content)
                told = read(file.name, content)
            except (UnreadableError, ContentError) as error:
                task.status, task.error_code = "NOK", 1
                self._known.refuse(file.name, file.publication_date, str(error))
                FILES.labels("unreadable").inc()
                log.error("file can't be read", product=file.name, reason=str(error))
                return 0
            added = self._known.add(file.name, file.publication_date, told)
            task.output = {"kind": told.kind, "satellite": told.satellite}
        FILES.labels("read").inc(added)
        return int(added)

    def _content(self, file: ListedFile) -> bytes:
        if file.size is None or file.size > SIZE_LIMIT:
            raise UnreadableError(f"the file has {file.size} bytes, at most {SIZE_LIMIT} are read")
        found = bytearray()
        with Digests([each.algorithm for each in file.checksums]) as digests:
            for chunk in digests.of(self._client.content(f"Products({file.id})/$value", file.size)):
                found += chunk
            values = digests.values()
        for each in file.checksums:
            if values[each.algorithm] != each.value:
                raise UnreadableError(f"{each.algorithm} of the bytes is not the one that the AUXIP tells")
        return bytes(found)


def _query(since: datetime) -> dict[str, str]:
    kinds = (*ORBITS, *ACQUISITIONS, CONTACTS, RECEIVED)
    names = " or ".join(f"contains(Name,'_OPER_{kind}')" for kind in kinds)
    return {"$filter": f"PublicationDate ge {odata_date(since)} and ({names})", "$orderby": "PublicationDate asc"}
