"""The `migrate` process: brings the database to the newest revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import OperationalError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from refsys.services.common import logs
from refsys.services.common.database import lock_transaction, open_database
from refsys.services.common.settings import DatabaseSettings, load

LOCK = "refsys migrate"
FOLDER = Path(__file__).parent


def main() -> None:
    """Upgrade the database of the settings; at the newest revision already, nothing changes."""
    logs.configure("migrate")
    engine = open_database(load(DatabaseSettings), "migrate", pool_size=1)
    _wait_for(engine)
    before, after = upgrade(engine)
    logs.get_logger().info("database is at the newest revision", before=before or "empty", after=after)


def upgrade(
    engine: Engine, revisions: Path = FOLDER / "versions", table: str = "alembic_version"
) -> tuple[str | None, str | None]:
    """Run all missing revisions in one transaction, alone; returns the revisions before and after.

    `table` keeps how far the revisions of the folder came: those of an application have one of their own.
    """
    configuration = Config()
    configuration.set_main_option("script_location", str(FOLDER))
    configuration.set_main_option("version_locations", str(revisions))
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["version_table"] = table
    with engine.begin() as connection:
        lock_transaction(connection, LOCK)
        before = _revision(connection, table)
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        return before, _revision(connection, table)


def _revision(connection: Connection, table: str) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": table}).get_current_revision()


@retry(retry=retry_if_exception_type(OperationalError), stop=stop_after_delay(180), wait=wait_fixed(3), reraise=True)
def _wait_for(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(select(1))
