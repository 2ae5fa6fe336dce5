"""Posting what is queued: an endpoint at a time, its notifications in order, failures with growing pauses."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography.fernet import InvalidToken
from prometheus_client import Counter
from sqlalchemy import Engine, RowMapping, delete, func, select, update

from refsys.services.common.logs import get_logger
from refsys.services.common.messages import product_trace
from refsys.services.distribution.delivery import queue
from refsys.services.distribution.delivery.endpoints import NOT_SHOWN, Endpoints
from refsys.services.distribution.delivery.model import endpoint, notification, product_order
from refsys.services.distribution.delivery.orders import order_json
from refsys.services.distribution.delivery.push import Parcel, Pusher, PushError
from refsys.services.distribution.model import product

BATCH = 20
LEASE = timedelta(seconds=120)  # longer than one post may take; renewed after each
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 3600.0

_n, _p = notification.c, endpoint.c
POSTED = Counter("refsys_notifications_posted_total", "Posts of notifications, by outcome", ["outcome"])
log = get_logger()


class Sender:
    """Posts notifications of all endpoints. Several senders never work on one endpoint at a time."""

    def __init__(
        self, engine: Engine, endpoints: Endpoints, pusher: Pusher, pause: float = FIRST_PAUSE_SECONDS
    ) -> None:
        """`pause` is the time in seconds after the first failure; it doubles with each one that follows."""
        self._engine = engine
        self._endpoints = endpoints
        self._pusher = pusher
        self._pause = pause

    def send(self) -> bool:
        """Post the notifications of the endpoint that has waited longest; False if nothing is due."""
        row = self._claim()
        if row is None:
            return False

        def taken(parcel: Parcel) -> None:
            POSTED.labels("taken").inc()
            with self._engine.begin() as connection:
                connection.execute(delete(notification).where(_n.id == parcel.message_id))
                renewed = {"failures": 0, "last_error": None, "next_attempt": func.now() + LEASE}
                connection.execute(update(endpoint).where(_p.id == row["id"]).values(renewed))

        try:
            self._pusher.deliver(self._endpoints.target(row), self._parcels(row), taken)
        except PushError as error:
            self._put_off(row, str(error))
        except InvalidToken:
            self._put_off(row, "its secrets cannot be decrypted: the operator has to restore the key file")
        else:
            self._release(row)
        return True

    def _claim(self) -> RowMapping | None:
        waiting = select(_n.seq).where(_n.endpoint_id == _p.id)
        due = (
            select(_p.id)
            .where(_p.active, _p.next_attempt <= func.now(), waiting.exists())
            .order_by(_p.next_attempt)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        statement = update(endpoint).where(_p.id == due).values(next_attempt=func.now() + LEASE).returning(endpoint)
        with self._engine.begin() as connection:
            return connection.execute(statement).mappings().first()

    def _parcels(self, row: RowMapping) -> Sequence[Parcel]:
        with self._engine.connect() as connection:
            queued = queue.QUEUED.where(_n.endpoint_id == row["id"]).order_by(_n.seq).limit(BATCH)
            waiting = connection.execute(queued).mappings().all()
            ids = {each["order_id"] for each in waiting if each["order_id"]}
            found = connection.execute(select(product_order).where(product_order.c.id.in_(ids))).mappings()
            orders = {each["id"]: order_json(each, NOT_SHOWN) for each in found}
            told = select(product.c.id, product.c.trace["traceId"].astext).where(
                product.c.id.in_({each["product_id"] for each in waiting if each["product_id"]})
            )
            traces = {each[0]: each[1] for each in connection.execute(told)}
        return [
            Parcel(
                str(each["id"]),
                json.dumps(_body(each, orders)).encode(),
                each["product_name"] or "",
                each["product_name"] and (traces.get(each["product_id"]) or product_trace(each["product_name"])),
            )
            for each in waiting
        ]

    def _release(self, row: RowMapping) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(endpoint).where(_p.id == row["id"]).values(next_attempt=func.now()))

    def _put_off(self, row: RowMapping, reason: str) -> None:
        POSTED.labels("refused").inc()
        with self._engine.begin() as connection:
            failures = connection.execute(select(_p.failures).where(_p.id == row["id"])).scalar_one()
            longest = min(self._pause * 2.0 ** min(failures, 20), LONGEST_PAUSE_SECONDS)
            pause = timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, keeps no secret
            values = {"failures": failures + 1, "last_error": reason, "next_attempt": func.now() + pause}
            connection.execute(update(endpoint).where(_p.id == row["id"]).values(values))
        log.warning(
            "a notification was not taken",
            endpoint=str(row["id"]),
            failures=failures + 1,
            pause_seconds=round(pause.total_seconds(), 1),
            error=reason,
        )


def _body(row: RowMapping, orders: Mapping[UUID, dict[str, Any]]) -> dict[str, Any]:
    """What is posted of a notification."""
    if row["body"] is not None:
        body: dict[str, Any] = row["body"]
        return body
    if row["order_id"]:
        return {"@odata.context": "$metadata#OData.CSC.Order"} | orders[row["order_id"]]
    return {"@odata.context": "$metadata#Notification/$entity"} | queue.notification_json(row)
