"""Publishes plan files: uploads each to the ingestor, and follows it until the AUXIP has it.

How far a file came is in the database, so that a process that was killed goes on; an upload whose answer was lost is
made again, which the ingestion acknowledges as the same file.
"""

import hashlib
import threading
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import httpx
from prometheus_client import Counter, Gauge
from pydantic import HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import Engine, RowMapping, func, select, update
from sqlalchemy.exc import DBAPIError

from refsys.services.common import logs
from refsys.services.common.tls import trust
from refsys.services.ingestion.errors import StationError
from refsys.services.ingestion.sources.http import RefusedError, answers, check
from refsys.services.ingestion.sources.token import Tokens
from refsys.services.orbits.intake import CHAIN, ClientSettings, station
from refsys.services.sra.tables import OPEN, PUBLISHED, REFUSED, UPLOADED, WAITING, PlanFile

POLL_SECONDS = 5.0
TIMEOUT_SECONDS = 30.0
NAME = "INGESTOR"
PATH = "/ingestor/v1/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
AT_ONCE = 4
"""Uploads that are open at a time, of the eight that the ingestor allows each user."""
GONE = {"REFUSED": REFUSED, "INVALID": REFUSED, "PUBLISHED": PUBLISHED}

ENDED = Counter("refsys_sra_files_total", "Plan files that were published or refused", ["state"])
OPEN_FILES = Gauge("refsys_sra_open_files", "Plan files that are not published yet")
FAILED = Counter("refsys_sra_publication_failures_total", "Turns of the publication that failed")

log = logs.get_logger()


class IngestorSettings(BaseSettings):
    """Where files are uploaded to."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_INGESTOR_")

    url: HttpUrl


class Ingestor:
    """The ingestor's upload interface (tus 1.0), as a client of it."""

    def __init__(self, settings: IngestorSettings, client: ClientSettings) -> None:
        """Nothing is requested before the first use."""
        self._tokens = Tokens(station(NAME, settings.url, client))
        self._http = httpx.Client(
            base_url=str(settings.url).rstrip("/"), verify=trust(client.ca_file), timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )  # fmt: skip

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(self, name: str, content: bytes) -> str:
        """Upload a whole file and return the identifier of the upload.

        Raises:
            StationError: it was not taken; later it may be.
        """
        checksum = f"SHA-256 {hashlib.sha256(content).hexdigest()}"
        metadata = f"filename {_base64(name)},checksum {_base64(checksum)}"
        made = self._ask("POST", PATH, 201, {"Upload-Length": str(len(content)), "Upload-Metadata": metadata})
        upload = str(made.headers.get("Location", "")).rpartition("/")[2]
        if not upload:
            raise StationError(f"{NAME}: the answer to a new upload has no Location")
        headers = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        self._ask("PATCH", f"{PATH}/{upload}", 204, headers, content)
        return upload

    def fate(self, upload: str) -> dict[str, Any] | None:
        """Return what became of an upload; None where it is not known, or was not sent to its end."""
        found = self._ask("GET", f"{PATH}/{upload}/status", 200, accepted=(404,))
        if found.status_code == 404:
            return None
        told: dict[str, Any] = found.json()
        return told

    def _ask(  # noqa: PLR0917  # an HTTP request
        self,
        method: str,
        path: str,
        expected: int,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        accepted: Sequence[int] = (),
    ) -> httpx.Response:
        token = ""
        for attempt in range(2):
            with answers(NAME):
                token = self._tokens.valid(self._http, refused=token)
                own = {"Authorization": f"Bearer {token}", **TUS, **(headers or {})}
                response = self._http.request(method, path, headers=own, content=content)
            if response.status_code != 401 or attempt:
                break
        check(response, NAME, expected, *accepted)
        return response


class Publication:
    """Brings plan files out."""

    def __init__(self, engine: Engine, ingestor: Ingestor) -> None:
        """Nothing is asked before the first turn."""
        self._engine, self._ingestor = engine, ingestor

    def publishing(self, stop: threading.Event) -> None:
        """Publish what is to be published until asked to stop; what fails is tried again at the next turn."""
        while not stop.is_set():
            try:
                self.turn()
            except StationError as error:
                FAILED.inc()
                log.warning("plan files wait for the ingestor", reason=str(error))
            except DBAPIError as error:
                FAILED.inc()
                log.warning("the database does not answer; it is tried again", reason=str(error.orig)[:300])
            stop.wait(POLL_SECONDS)

    def turn(self) -> int:
        """Look after each file that is not out yet; returns how many are still not."""
        statement = select(PlanFile.__table__).where(PlanFile.state.in_(OPEN)).order_by(PlanFile.name)
        with self._engine.connect() as connection:
            files = connection.execute(statement).mappings().all()
        uploaded = [each for each in files if each["state"] == UPLOADED]
        still = sum(not self._followed(each) for each in uploaded)
        for each in [each for each in files if each["state"] == WAITING][: max(AT_ONCE - still, 0)]:
            self._upload(each)
        with self._engine.connect() as connection:
            left = connection.scalar(select(func.count()).where(PlanFile.state.in_(OPEN))) or 0
        OPEN_FILES.set(left)
        return left

    def _upload(self, file: RowMapping) -> None:
        content = file["content"].encode()
        name, satellite = file["name"], file["satellite"]
        with logs.task("JobProcessing", chain=CHAIN, mission=satellite[:2], satellite=satellite, filename=name) as task:
            task.size_bytes = len(content)
            try:
                upload = self._ingestor.upload(name, content)
            except RefusedError as error:
                task.status, task.error_code = "NOK", 1
                self._change(file, WAITING, state=REFUSED, reason=str(error))
                return
            task.output = {"upload": upload}
            self._change(file, WAITING, state=UPLOADED, upload=upload)

    def _followed(self, file: RowMapping) -> bool:
        """Whether the file came to its end."""
        fate = self._ingestor.fate(file["upload"])
        if fate is None or fate["state"] == "RECEIVING":
            self._change(file, UPLOADED, state=WAITING, reason="the upload was lost; it is made again")
            return False
        state = GONE.get(fate["state"])
        if state is None:
            return False
        self._change(file, UPLOADED, state=state, reason=fate.get("reason") or "", product=fate.get("productId") or "")
        ENDED.labels(state).inc()
        level = log.info if state == PUBLISHED else log.error
        level("plan file came to its end", product=file["name"], state=state, reason=fate.get("reason") or "")
        return True

    def _change(self, file: RowMapping, before: str, **values: str) -> None:
        statement = update(PlanFile).where(PlanFile.name == file["name"], PlanFile.state == before)
        with self._engine.begin() as connection:
            connection.execute(statement.values(**values, changed=func.now()))


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
