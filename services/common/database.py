"""PostgreSQL through SQLAlchemy 2 and psycopg 3: engines, naming, the PostGIS geometry type."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    MetaData,
    bindparam,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.types import UserDefinedType

from refsys.services.common.settings import DatabaseSettings, secret

RECYCLE_SECONDS = 900
"""Shorter than half the life of a short-lived user, which is what the one before has left."""
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables; each service keeps its tables in a schema of its own."""

    metadata = MetaData(naming_convention=NAMING)


class Geometry(UserDefinedType[str]):
    """A PostGIS geometry in WGS 84, given and read as GeoJSON text."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The column type in SQL."""
        return "geometry(Geometry,4326)"

    def bind_expression(self, bindvalue: ColumnElement[str]) -> ColumnElement[str]:
        """GeoJSON in."""
        return func.ST_SetSRID(func.ST_GeomFromGeoJSON(bindvalue, type_=self), 4326, type_=self)

    def column_expression(self, column: ColumnElement[str]) -> ColumnElement[str]:
        """GeoJSON out, without the reference system, which is always WGS 84."""
        return func.ST_AsGeoJSON(column, 9, 0)


def _options(settings: DatabaseSettings, process: str, pool_size: int) -> dict[str, Any]:
    return {
        "url": make_url(settings.url).set(drivername="postgresql+psycopg"),
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_recycle": RECYCLE_SECONDS,
        "connect_args": {
            "application_name": f"refsys-{process}",
            "connect_timeout": 10,
            "options": "-c timezone=UTC -c lock_timeout=60s -c idle_in_transaction_session_timeout=120s",
            "keepalives_idle": 30,
        },
    }


def _read_password(engine: Engine, settings: DatabaseSettings) -> None:
    path = settings.password_file
    if path is None:
        return

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]) -> None:
        *user, parameters["password"] = secret(path).splitlines()
        if user:
            parameters["user"] = user[0]


def open_database(settings: DatabaseSettings, process: str, pool_size: int = 4) -> Engine:
    """An engine for `process`; sessions run in UTC, the password file is read at each new connection.

    A connection that broke while it was idle fails at its next use, and then all are opened anew: asking each time
    that it is taken would be a round trip, and callers try again in any case.
    """
    engine = create_engine(**_options(settings, process, pool_size))
    _read_password(engine, settings)
    return engine


def autocommit(engine: Engine) -> Connection:
    """A connection on which each statement is a transaction of its own, without the round trips around it."""
    return engine.connect().execution_options(isolation_level="AUTOCOMMIT")


_KEY = func.hashtextextended(bindparam("name"), 0)
_LOCK, _UNLOCK = select(func.pg_advisory_lock(_KEY)), select(func.pg_advisory_unlock(_KEY))
_LOCK_TRANSACTION = select(func.pg_advisory_xact_lock(_KEY))


def lock_transaction(connection: Connection, name: str) -> None:
    """Hold the advisory lock of `name` until the transaction ends."""
    connection.execute(_LOCK_TRANSACTION, {"name": name})


@contextmanager
def exclusive(engine: Engine, name: str) -> Iterator[Connection]:
    """An autocommit connection that holds the advisory lock of `name`; what it writes is done under the lock.

    If the connection breaks, the lock is gone and so is the possibility to write: nobody writes unlocked.
    """
    with autocommit(engine) as connection:
        connection.execute(_LOCK, {"name": name})
        try:
            yield connection
        finally:
            if not connection.invalidated:
                connection.execute(_UNLOCK, {"name": name})
