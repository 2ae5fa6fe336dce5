"""Statements on uploads. A change of state asks for the state before it, so that each happens once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from prometheus_client import Counter
from sqlalchemy import Engine, RowMapping, delete, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError

from refsys.services.common.database import lock_transaction
from refsys.services.common.logs import get_logger
from refsys.services.common.names import ProductName
from refsys.services.common.settings import IngestorSettings
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.repository import explained
from refsys.services.ingestor.tables import ACCEPTED, CHECKING, OPEN, RECEIVING, REFUSED, SCANNING, Upload

EXPIRES = timedelta(days=2)
KEPT = timedelta(days=90)
RETRY_BASE_SECONDS, RETRY_MAX_SECONDS = 2.0, 300.0
REASON_LIMIT = 2000
_LOCK = "refsys uploads"
_REACHED = {CHECKING: "received", SCANNING: "checked", ACCEPTED: "accepted", REFUSED: "refused"}

ENDED = Counter("refsys_uploads_total", "Uploads that were accepted or refused", ["state"])

log = get_logger()


class Uploads:
    """All uploads; threads may share it."""

    def __init__(self, engine: Engine, settings: IngestorSettings) -> None:
        """Nothing is asked before the first use."""
        self.engine = engine
        self.settings = settings

    def check(self) -> None:
        """Raise an `ODataError` if the database does not answer."""
        try:
            with self.engine.connect() as connection:
                connection.execute(select(1))
        except DBAPIError as error:
            raise explained(error) from error

    def create(self, user: str, name: ProductName, size: int, checksum: tuple[str, str]) -> UUID:
        """Enter a new upload.

        Raises:
            ODataError: 429 with too many open uploads of the user, 507 without room for it.
        """
        limits, identifier = self.settings, uuid4()
        with self.engine.begin() as connection:
            lock_transaction(connection, _LOCK)
            own = func.count().filter(Upload.user_name == user)
            mine, taken = connection.execute(
                select(own, func.coalesce(func.sum(Upload.size), 0)).where(Upload.state.in_(OPEN))
            ).one()
            if mine >= limits.uploads_per_user:
                message = f"user {user} has {mine} open uploads, as many as are allowed: finish or withdraw one"
                raise ODataError(429, "TooManyUploads", message, {"Retry-After": "60"})
            if taken + size > limits.volume_bytes:
                message = "there is no room for the upload until others are finished: try again"
                raise ODataError(507, "NoRoom", message, {"Retry-After": "300"})
            connection.execute(
                insert(Upload).values(
                    id=identifier,
                    user_name=user,
                    name=name.name,
                    size=size,
                    algorithm=checksum[0],
                    checksum=checksum[1],
                    state=RECEIVING,
                    expires=func.now() + EXPIRES,
                )
            )
        log.info("upload begins", upload=str(identifier), user=user, product=name.name, size=size)
        return identifier

    def find(self, identifier: str) -> RowMapping | None:
        """The upload of an identifier as clients send it; None for none, or what is no identifier."""
        try:
            key = UUID(identifier)
        except ValueError:
            return None
        with self.engine.connect() as connection:
            return connection.execute(select(Upload.__table__).where(Upload.id == key)).mappings().one_or_none()

    def open(self) -> Sequence[RowMapping]:
        """All uploads of which there is something to do, the oldest first."""
        statement = (
            select(Upload.__table__)
            .where(Upload.state.in_(OPEN), or_(Upload.retry_at.is_(None), Upload.retry_at <= func.now()))
            .order_by(Upload.created)
        )
        with self.engine.connect() as connection:
            return connection.execute(statement).mappings().all()

    def move(self, identifier: UUID, before: str, after: str, reason: str = "") -> bool:
        """Change the state from `before` to `after`; False if it has another one by now."""
        values = {
            "state": after,
            "reason": _clean(reason),
            "attempts": 0,
            "retry_at": None,
            _REACHED[after]: func.now(),
        }
        if self._update(identifier, before, values) is None:
            return False
        if after in (ACCEPTED, REFUSED):
            ENDED.labels(after).inc()
        log.info("upload moves on", upload=str(identifier), state=after, reason=reason)
        return True

    def wait(self, identifier: UUID, state: str, reason: str) -> None:
        """Leave an upload in its state for a while, longer each time, with the reason."""
        seconds = func.least(RETRY_MAX_SECONDS, RETRY_BASE_SECONDS * func.power(2, func.least(Upload.attempts, 16)))
        retry_at = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        values = {"reason": _clean(reason), "attempts": Upload.attempts + 1, "retry_at": retry_at}
        self._update(identifier, state, values)
        log.warning("upload waits", upload=str(identifier), state=state, reason=reason)

    def expired(self) -> Sequence[RowMapping]:
        """Uploads whose bytes did not come in time."""
        statement = select(Upload.__table__).where(Upload.state == RECEIVING, Upload.expires <= func.now())
        with self.engine.connect() as connection:
            return connection.execute(statement).mappings().all()

    def unstaged(self, identifier: UUID) -> None:
        """Record that the object that handed the file over is gone."""
        self._update(identifier, ACCEPTED, {"unstaged": func.now()})

    def forget(self) -> None:
        """Remove what ended long ago."""
        over = or_(Upload.state == REFUSED, Upload.unstaged.is_not(None))
        with self.engine.begin() as connection:
            connection.execute(delete(Upload).where(over, Upload.created < func.now() - KEPT))

    def _update(self, identifier: UUID, state: str, values: dict[str, Any]) -> UUID | None:
        statement = update(Upload).where(Upload.id == identifier, Upload.state == state).values(values)
        with self.engine.begin() as connection:
            found: UUID | None = connection.execute(statement.returning(Upload.id)).scalar_one_or_none()
        return found


def _clean(reason: str) -> str:
    return reason.replace("\x00", "")[:REASON_LIMIT]
