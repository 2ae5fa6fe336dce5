"""Orders: placed within a user's quotas and planned into jobs, followed, dismissed. Threads may share it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from prometheus_client import Counter
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common import logs
from refsys.services.common.database import lock_transaction
from refsys.services.common.settings import OnDemandSettings
from refsys.services.distribution.auth import OPERATOR, Identity
from refsys.services.distribution.delivery.endpoints import Endpoints
from refsys.services.distribution.delivery.entities import Entities
from refsys.services.distribution.delivery.push import new_secret
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.ondemand.inputs import Execute, Subscriber, read
from refsys.services.ondemand.planning import Ordered, plan, row_of
from refsys.services.ondemand.problems import NO_JOB
from refsys.services.ondemand.processes import name_of
from refsys.services.ondemand.states import OPEN, Status, is_open, standing, standings
from refsys.services.ondemand.tables import OrderRequest
from refsys.services.preparation import ledger
from refsys.services.production.shelf import Place
from refsys.services.production.states import Outcome, State
from refsys.services.production.tables import Job

DAY_SECONDS = 24 * 3600
RUNNING = [state for state in State if state is not State.TERMINATED]
ORDERED = Counter("refsys_ondemand_orders_total", "Orders that were placed", ["process"])
REFUSED = Counter("refsys_ondemand_quota_refused_total", "Orders refused by a quota", ["quota"])

log = logs.get_logger()


class Orders:
    """The orders of all users."""

    def __init__(self, engine: Engine, endpoints: Endpoints, quotas: OnDemandSettings) -> None:
        """Nothing is asked of the database yet."""
        self.entities = Entities(engine)
        self.quotas = quotas
        self._endpoints = endpoints

    def place(self, place: Place, asked: Execute, owner: str, key: str | None) -> tuple[UUID, str | None]:
        """Place an order; return its id and the signing secret of its subscriber, if it has one.

        The same `key` of a user again is the same order, and makes nothing.

        Raises:
            ODataError: 400 for what can't be done, 409 for a key of another order, 429 beyond a quota.
        """
        if asked.subscriber:
            self._check(asked.subscriber)
        selection = read(place, asked.inputs, self.quotas.jobs_per_order)
        with self.entities.transaction() as connection:
            lock_transaction(connection, f"refsys orders of {owner}")
            if key and (known := _known(connection, owner, key, name_of(place), asked.inputs)):
                return known, None
            now = self._check_open(connection, owner)
            jobs = plan(connection, place, selection, self.quotas.jobs_per_order)
            self._check_day(connection, owner, len(jobs))
            request, secret = uuid4(), new_secret() if asked.subscriber else None
            values: dict[str, Any] = {"id": request, "owner": owner, "process": name_of(place), "key": key}
            values |= {"inputs": asked.inputs, "created": now}
            if asked.subscriber and secret:
                values |= self._keep(connection, asked.subscriber, secret)
            connection.execute(insert(OrderRequest).values(values))
            for job in jobs:
                ledger.add(connection, row_of(place, job, selection, Ordered(request, owner, now)), [])
            ledger.notify(connection)
        ORDERED.labels(name_of(place)).inc()
        log.info("order placed", order=str(request), process=name_of(place), user=owner, jobs=len(jobs))
        return request, secret

    def find(self, connection: Connection, request: UUID, identity: Identity) -> RowMapping:
        """Return an order of a user, any for operators.

        Raises:
            ODataError: 404 if he has no such order.
        """
        statement = standings(OrderRequest.id == request, *_seen_by(identity))
        row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise ODataError(404, NO_JOB, f"there is no order {request} of {identity.name}")
        return row

    def page(self, identity: Identity, process: str | None, skip: int, limit: int) -> Sequence[RowMapping]:
        """Return orders of a user, all of them for operators, the newest first; one more than `limit`, if there are."""
        conditions = [*_seen_by(identity), *([OrderRequest.process == process] if process else [])]
        statement = standings(*conditions).order_by(OrderRequest.created.desc(), OrderRequest.id)
        with self.entities.transaction() as connection:
            return connection.execute(statement.offset(skip).limit(limit + 1)).mappings().all()

    def dismiss(self, request: UUID, identity: Identity) -> RowMapping:
        """End what of an order has not ended.

        Raises:
            ODataError: 404 if there is no such order, 409 if it has ended, 410 if it was dismissed.
        """
        with self.entities.transaction() as connection:
            status = standing(self.find(connection, request, identity)).status
            if status not in OPEN:
                code = 410 if status is Status.DISMISSED else 409
                raise ODataError(code, "HasEnded", f"order {request} is {status}: there is nothing to dismiss")
            # In one order, as whoever else takes several of them.
            rows = select(Job.id).where(Job.request_id == request, Job.state != State.TERMINATED)
            for job in connection.execute(rows.order_by(Job.id).with_for_update()).scalars().all():
                ledger.end(connection, job, Outcome.CANCELLED, f"dismissed by {identity.name}", RUNNING)
            statement = update(OrderRequest).where(OrderRequest.id == request)
            connection.execute(statement.values(dismissed=func.now()))
            log.info("order dismissed", order=str(request), user=identity.name)
            return self.find(connection, request, identity)

    def forget_old(self) -> None:
        """Remove orders whose jobs are all forgotten."""
        jobs = select(Job.id).where(Job.request_id == OrderRequest.id).correlate(OrderRequest)
        with self.entities.transaction() as connection:
            connection.execute(delete(OrderRequest).where(~jobs.exists()))

    def _check(self, subscriber: Subscriber) -> None:
        for name, url in _addresses(subscriber).items():
            self._endpoints.check_url(f"subscriber.{name}", url)

    def _keep(self, connection: Connection, subscriber: Subscriber, secret: str) -> dict[str, UUID]:
        addresses = _addresses(subscriber)
        kept = {url: self._endpoints.keep(connection, url, secret) for url in dict.fromkeys(addresses.values())}
        return {name: kept[url] for name, url in addresses.items()}

    def _check_open(self, connection: Connection, owner: str) -> datetime:
        """Return the time now, by the one clock that all go by."""
        statement = select(func.count()).select_from(OrderRequest).where(OrderRequest.owner == owner, is_open())
        if connection.execute(statement).scalar_one() >= self.quotas.open_orders:
            raise _refusal("open-orders", f"{self.quotas.open_orders} orders at a time", 60)
        return ledger.now(connection)

    def _check_day(self, connection: Connection, owner: str, jobs: int) -> None:
        since = func.now() - func.make_interval(0, 0, 0, 1)
        statement = select(func.count(), func.extract("epoch", func.now() - func.min(Job.created)))
        statement = statement.join_from(Job, OrderRequest, Job.request_id == OrderRequest.id)
        used, oldest = connection.execute(statement.where(OrderRequest.owner == owner, Job.created > since)).one()
        if used + jobs > self.quotas.jobs_per_day:
            wait = DAY_SECONDS - int(oldest or 0)
            what = f"{self.quotas.jobs_per_day} jobs in 24 hours (this order has {jobs}, {used} were ordered)"
            raise _refusal("jobs-per-day", what, wait)


def _addresses(subscriber: Subscriber) -> dict[str, str]:
    given = {"success": subscriber.success_uri, "failed": subscriber.failed_uri}
    given |= {"in_progress": subscriber.in_progress_uri}
    return {name: url for name, url in given.items() if url is not None}


def _seen_by(identity: Identity) -> list[ColumnElement[bool]]:
    return [] if OPERATOR in identity.roles else [OrderRequest.owner == identity.name]


def _known(connection: Connection, owner: str, key: str, process: str, inputs: Mapping[str, Any]) -> UUID | None:
    """The order that a key was used for."""
    statement = select(OrderRequest.id, OrderRequest.process, OrderRequest.inputs)
    statement = statement.where(OrderRequest.owner == owner, OrderRequest.key == key)
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    if (row.process, row.inputs) != (process, inputs):
        raise ODataError(409, "KeyIsTaken", f"Idempotency-Key was that of order {row.id}, which is another one")
    found: UUID = row.id
    return found


def _refusal(quota: str, what: str, wait: int) -> ODataError:
    REFUSED.labels(quota).inc()
    message = f"quota {quota}: {what} are allowed to a user; try again in {wait} s"
    return ODataError(429, "QuotaExceeded", message, {"Retry-After": str(wait)}, target=quota)
