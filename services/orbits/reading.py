"""What an application that reads the AUXIP has beside serving: its tables, then reading."""

import threading
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from tenacity import retry, retry_if_exception_type, sleep_using_event, wait_fixed

from refsys.services.common import logs
from refsys.services.common.database import open_database
from refsys.services.common.https import CONNECTIONS
from refsys.services.common.settings import DatabaseSettings, load
from refsys.services.ingestion.sources.odata import ODataClient
from refsys.services.migrations.upgrade import upgrade
from refsys.services.orbits.intake import SOURCE, AuxipSettings, ClientSettings, Intake, station
from refsys.services.orbits.known import Known

RETRY_SECONDS = 5

log = logs.get_logger()


class Reading:
    """Reads the AUXIP for an application; `known` is what was read."""

    def __init__(self, name: str, revisions: Path) -> None:
        """Nothing is asked before it runs.

        Raises:
            SettingsError: the database, the AUXIP or the client for it is not set, or wrong.
        """
        logs.configure(name)
        self._name, self._revisions = name, revisions
        self._settings, self._client = load(AuxipSettings), load(ClientSettings)
        self.known = Known(open_database(load(DatabaseSettings), name, pool_size=CONNECTIONS))

    def reading(self, stop: threading.Event) -> None:
        """Make the tables and read until asked to stop; a database or an AUXIP that is away is waited for."""
        log.info("process starts", auxip=str(self._settings.url))
        try:
            migrate(self.known.engine, self._name, self._revisions, stop)
        except DBAPIError:
            if stop.is_set():
                return
            raise
        source = ODataClient(station(SOURCE, self._settings.url, self._client))
        try:
            Intake(self.known, source, self._settings).run(stop)
        finally:
            source.close()


def migrate(engine: Engine, name: str, revisions: Path, stop: threading.Event) -> None:
    """Bring the application's tables to their newest revision, as soon as the database answers.

    Raises:
        DBAPIError: it did not answer before `stop` was set.
    """

    @retry(
        retry=retry_if_exception_type(DBAPIError),
        wait=wait_fixed(RETRY_SECONDS),
        sleep=sleep_using_event(stop),
        stop=lambda _: stop.is_set(),
        before_sleep=lambda _: log.warning("the database does not answer; it is tried again"),
        reraise=True,
    )
    def tried() -> None:
        upgrade(engine, revisions, f"{name.replace('-', '_')}_version")

    tried()
