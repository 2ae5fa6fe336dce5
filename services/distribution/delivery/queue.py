"""The queue of notifications: read and acknowledged by pull subscribers, bounded, and cleaned of what expired."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, RowMapping, delete, func, select, update

from refsys.services.distribution.delivery.model import (
    endpoint,
    notification,
    product_event,
    subscription,
)
from refsys.services.distribution.odata.errors import bad_option
from refsys.services.distribution.odata.serialise import timestamp

MAX_QUEUE = 100_000
PAYLOAD_DAYS = timedelta(days=3)

_n, _e = notification.c, product_event.c
QUEUED = select(
    *(_n.seq, _n.id, _n.subscription_id, _n.order_id, _n.body, _n.moment),
    *(_e.kind, _e.product_id, _e.product_name, _e.value),
).join_from(notification, product_event, _n.event_id == _e.id, isouter=True)


def ack_id(row: RowMapping) -> str:
    """Return what acknowledges a notification and all before it."""
    return f"{row['subscription_id']}:{row['seq']}"


def notification_json(row: RowMapping) -> dict[str, Any]:
    """Return one notification of a subscription in OData JSON."""
    return {
        "SubscriptionEvent": row["kind"],
        "ProductId": str(row["product_id"]),
        "ProductName": row["product_name"],
        "SubscriptionId": str(row["subscription_id"]),
        "NotificationDate": timestamp(row["moment"]),
        "AckId": ack_id(row),
        "value": row["value"],
    }


def read(connection: Connection, subscription_id: UUID, top: int) -> list[dict[str, Any]]:
    """Return the oldest notifications of a subscription; they stay until they are acknowledged."""
    rows = connection.execute(QUEUED.where(_n.subscription_id == subscription_id).order_by(_n.seq).limit(top))
    return [notification_json(row) for row in rows.mappings()]


def acknowledge(connection: Connection, subscription_id: UUID, text: str) -> int:
    """Remove a notification and all before it from the queue; return how many that were.

    Raises:
        ODataError: 400 if this is not an AckId of the subscription.
    """
    owner, _, seq = text.rpartition(":")
    if owner != str(subscription_id) or not seq.isdecimal() or int(seq) >= 2**63:
        raise bad_option("$ackid", "is not an AckId that Read of this subscription gave")
    statement = delete(notification).where(_n.subscription_id == subscription_id, _n.seq <= int(seq))
    return connection.execute(statement).rowcount


def limit(connection: Connection, subscription_id: UUID, most: int = MAX_QUEUE) -> int:
    """Drop the oldest notifications beyond the limit; return how many that were."""
    last = (
        select(_n.seq)
        .where(_n.subscription_id == subscription_id)
        .order_by(_n.seq.desc())
        .offset(most)
        .limit(1)
        .scalar_subquery()
    )
    statement = delete(notification).where(_n.subscription_id == subscription_id, _n.seq <= last)
    return connection.execute(statement).rowcount


def expire(engine: Engine) -> Mapping[str, int]:
    """Remove what is older than 3 days: payloads of pull notifications, push notifications that nobody took."""
    with engine.begin() as connection:
        old = func.now() - PAYLOAD_DAYS
        cancelled = select(subscription.c.id).where(subscription.c.status == "cancelled")
        left = delete(notification).where(_n.subscription_id.in_(cancelled))
        unposted = delete(notification).where(_n.endpoint_id.is_not(None), _n.moment < old)
        payloads = update(product_event).where(_e.moment < old, _e.value.is_not(None))
        waiting = select(_n.event_id).where(_n.event_id == _e.id)
        events = delete(product_event).where(_e.moment < old, _e.matched, ~waiting.exists())
        used = select(_n.endpoint_id).where(_n.endpoint_id == endpoint.c.id)
        settled = update(endpoint).where(endpoint.c.failures > 0, ~used.exists())
        return {
            "cancelled": connection.execute(left).rowcount,
            "not_posted": connection.execute(unposted).rowcount,
            "payloads": connection.execute(payloads.values(value=None, product_name=None)).rowcount,
            "events": connection.execute(events).rowcount,
            "endpoints": connection.execute(settled.values(failures=0, next_attempt=func.now())).rowcount,
        }
