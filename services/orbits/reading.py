"""What an application that reads the AUXIP does at its start: its tables, then reading beside serving."""

import threading
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from tenacity import retry, retry_if_exception_type, wait_fixed

from refsys.services.common import logs
from refsys.services.common.database import open_database
from refsys.services.common.https import CONNECTIONS
from refsys.services.common.settings import DatabaseSettings, load
from refsys.services.ingestion.sources.odata import ODataClient
from refsys.services.migrations.upgrade import upgrade
from refsys.services.orbits.intake import SOURCE, AuxipSettings, ClientSettings, Intake, station
from refsys.services.orbits.known import Known

RETRY_SECONDS = 5
END_SECONDS = 20


@dataclass
class Reading:
    """What is known, and the thread that adds to it."""

    known: Known
    thread: threading.Thread

    def end(self) -> None:
        """Wait for the end of a poll that is running, and close what is open."""
        self.thread.join(END_SECONDS)
        self.known.engine.dispose()


def begin(name: str, revisions: Path, stop: threading.Event) -> Reading:
    """Begin to read; a database or an AUXIP that is away is waited for while the application serves.

    Raises:
        SettingsError: the database, the AUXIP or the client for it is not set, or wrong.
    """
    logs.configure(name)
    engine = open_database(load(DatabaseSettings), name, pool_size=CONNECTIONS)
    settings, client = load(AuxipSettings), load(ClientSettings)
    known = Known(engine)

    def read() -> None:
        migrate(engine, name, revisions, stop)
        source = ODataClient(station(SOURCE, settings.url, client))
        try:
            Intake(known, source, settings).run(stop)
        finally:
            source.close()

    thread = threading.Thread(target=read, name="reading")
    thread.start()
    logs.get_logger().info("process starts", auxip=str(settings.url))
    return Reading(known, thread)


def migrate(engine: Engine, name: str, revisions: Path, stop: threading.Event | None = None) -> None:
    """Bring the application's tables to their newest revision, as soon as the database answers."""

    def wait(_: object) -> None:
        logs.get_logger().warning("the database does not answer; it is tried again")

    @retry(
        retry=retry_if_exception_type(DBAPIError),
        wait=wait_fixed(RETRY_SECONDS),
        stop=lambda _: stop is not None and stop.is_set(),
        before_sleep=wait,
        reraise=True,
    )
    def tried() -> None:
        upgrade(engine, revisions, f"{name.replace('-', '_')}_version")

    tried()
