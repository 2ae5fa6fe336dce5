"""Connections of the search: bounded in time, with errors that tell a client what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from refsys.services.common.logs import get_logger
from refsys.services.distribution.odata.errors import ODataError

STATEMENT_SECONDS = 30
RETRY_SECONDS = "10"

log = get_logger()


def bound_statements(engine: Engine) -> None:
    """Let no statement of an engine's new connections last longer than `STATEMENT_SECONDS`."""

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        driver: psycopg.Connection[Any] = connection
        driver.prepare_threshold = None  # a plan without the values cannot use partial indexes
        with driver.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
        driver.commit()


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction; raises `ODataError` 400 for values that do not fit, 503 if the database does not answer."""
    try:
        with engine.begin() as connection:
            yield connection
    except PoolTimeoutError as error:
        raise unavailable("the service is busy") from error
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.errors.QueryCanceled):
            raise ODataError(
                503, "QueryTimeout", f"the search took more than {STATEMENT_SECONDS} s: narrow it by period or type"
            ) from error
        if isinstance(error, DataError):
            raise ODataError(400, "InvalidParameter", "a parameter has a value outside of its range") from error
        if isinstance(error, OperationalError | InterfaceError):
            log.error("database does not answer", error=str(error.orig))
            raise unavailable("the database does not answer") from error
        raise


def unavailable(what: str) -> ODataError:
    """The 503 of a part that does not answer."""
    return ODataError(503, "Unavailable", f"{what}: try again", {"Retry-After": RETRY_SECONDS})
