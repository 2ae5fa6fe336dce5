"""Quotas by user: requests a minute, parallel downloads, bytes a month.

What is used is kept in PostgreSQL, so that it is right whichever replica answers. A download holds a lease that it
renews while it goes on; the lease of a process that died ends by itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from prometheus_client import Counter, Gauge
from sqlalchemy import Connection, Engine, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from refsys.services.common.logs import get_logger
from refsys.services.common.settings import QuotaSettings
from refsys.services.distribution.model import download, minute, month
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.repository import explained, unavailable

LEASE_SECONDS = 90
RENEW_SECONDS = 15.0
BUSY_SECONDS = 10

REFUSED = Counter("refsys_prip_quota_refused", "Requests refused by a quota", ["quota"])
DELIVERED = Counter("refsys_prip_delivered_bytes", "Bytes of products delivered to users")
OPEN = Gauge("refsys_prip_open_downloads", "Downloads that this process serves now")

log = get_logger()


@dataclass(frozen=True)
class Lease:
    """The right to one running download."""

    id: UUID
    user: str


class Quotas:
    """Counts what users use and refuses what is too much. Safe for use by several threads and processes."""

    def __init__(self, engine: Engine, settings: QuotaSettings) -> None:
        """Nothing is asked of the database yet."""
        self._engine = engine
        self._settings = settings

    def count_request(self, user: str) -> None:
        """Count one request of a user.

        Raises:
            ODataError: 429 if there were too many in this minute.
        """
        now = func.date_trunc("minute", func.clock_timestamp())
        fresh = insert(minute).values(user_name=user, start=now, requests=1)
        counted = case((minute.c.start == fresh.excluded.start, minute.c.requests + 1), else_=1)
        statement = fresh.on_conflict_do_update(
            index_elements=[minute.c.user_name], set_={"start": fresh.excluded.start, "requests": counted}
        ).returning(minute.c.requests, func.extract("second", func.clock_timestamp()).label("second"))
        with self._transaction() as connection:
            row = connection.execute(statement).one()
        limit = self._settings.requests_per_minute
        if row.requests > limit:
            raise _refusal("requests-per-minute", f"{limit} requests a minute", 60 - int(row.second))

    def open_download(self, user: str, size: int) -> Lease:
        """Return the lease of a download of `size` bytes.

        Raises:
            ODataError: 429 with too many downloads at once, or too many bytes in this month.
        """
        with self._transaction() as connection:
            self._lock(connection, user)
            connection.execute(delete(download).where(download.c.user_name == user, download.c.expires < func.now()))
            sums = select(func.count(), func.coalesce(func.sum(download.c.remaining_bytes), 0))
            others, remaining = connection.execute(sums.where(download.c.user_name == user)).one()
            if others >= self._settings.downloads:
                raise _refusal("downloads", f"{self._settings.downloads} downloads at the same time", BUSY_SECONDS)
            self._check_month(connection, user, size + int(remaining))
            lease = Lease(uuid4(), user)
            connection.execute(
                insert(download).values(id=lease.id, user_name=user, remaining_bytes=size, expires=_expiry())
            )
        OPEN.inc()
        return lease

    def charge(self, user: str, size: int) -> None:
        """Count `size` bytes that another server will deliver to the user.

        Raises:
            ODataError: 429 if that is too much for this month.
        """
        with self._transaction() as connection:
            self._lock(connection, user)
            self._check_month(connection, user, size)
            _add(connection, user, size)
        DELIVERED.inc(size)

    def renew(self, lease: Lease, delivered: int) -> None:
        """Count bytes delivered since the last time and keep the lease."""
        with self._transaction() as connection:
            values = {"remaining_bytes": download.c.remaining_bytes - delivered, "expires": _expiry()}
            connection.execute(update(download).where(download.c.id == lease.id).values(values))
            _add(connection, lease.user, delivered)
        DELIVERED.inc(delivered)

    def close(self, lease: Lease, delivered: int) -> None:
        """Count the last bytes and give the lease back; never raises, for the download is over."""
        OPEN.dec()
        DELIVERED.inc(delivered)
        try:
            with self._transaction() as connection:
                connection.execute(delete(download).where(download.c.id == lease.id))
                _add(connection, lease.user, delivered)
        except ODataError as error:
            log.error("bytes of a download are not counted", user=lease.user, bytes=delivered, error=error.message)

    def _check_month(self, connection: Connection, user: str, wanted: int) -> None:
        start, limit = _month(), self._settings.bytes_per_month
        used = select(month.c.bytes).where(month.c.user_name == user, month.c.start == start)
        if (connection.execute(used).scalar() or 0) + wanted > limit:
            following = datetime(start.year + start.month // 12, start.month % 12 + 1, 1, tzinfo=UTC)
            wait = int((following - datetime.now(UTC)).total_seconds()) + 1
            raise _refusal("bytes-per-month", f"{limit} bytes a month", wait)

    def _lock(self, connection: Connection, user: str) -> None:
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"quota {user}", 0))))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise explained(error) from error
        except PoolTimeoutError as error:
            raise unavailable("the service is busy: try again") from error


def _add(connection: Connection, user: str, size: int) -> None:
    if size == 0:
        return
    fresh = insert(month).values(user_name=user, start=_month(), bytes=size)
    added = {"bytes": month.c.bytes + fresh.excluded.bytes}
    connection.execute(fresh.on_conflict_do_update(index_elements=[month.c.user_name, month.c.start], set_=added))


def _month() -> date:
    return datetime.now(UTC).date().replace(day=1)


def _expiry() -> Any:
    return func.clock_timestamp() + timedelta(seconds=LEASE_SECONDS)


def _refusal(quota: str, what: str, wait: int) -> ODataError:
    REFUSED.labels(quota).inc()
    message = f"quota {quota}: {what} are allowed to a user; try again in {wait} s"
    return ODataError(429, "QuotaExceeded", message, {"Retry-After": str(wait)}, target=quota)
