"""Recalls: what orders of offline products wait for.

The ingestion trigger calls `claim` and has the product fetched from a long-term archive (`assign`), or calls `fail`;
the lifecycle calls `complete` when the product is back. A claim ends with its lease, and the recall is then claimed
again.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine, RowMapping, func, or_, select, update

from refsys.services.common.messages import utc_now
from refsys.services.distribution.delivery.model import product_order, recall
from refsys.services.distribution.delivery.orders import OPEN, OPEN_RECALLS, notify
from refsys.services.distribution.model import product

ONLINE_FOR = timedelta(days=3)
LEASE = timedelta(hours=1)
_o = product_order.c


def claim(engine: Engine, lease: timedelta = LEASE) -> RowMapping | None:
    """Take the recall to serve next (highest priority, oldest), None if there is none.

    Its columns `product_id, product_name, bucket, object_key, content_length` say what to restore to where. The
    orders that wait for it are in progress now. Claims of several restorers never meet.
    """
    free = or_(
        recall.c.state == "requested",
        (recall.c.state == "in_progress") & (recall.c.leased_until < func.now()),
    )
    following = (
        select(recall.c.id)
        .where(free)
        .order_by(recall.c.priority.desc(), recall.c.requested)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    with engine.begin() as connection:
        statement = update(recall).where(recall.c.id == following).returning(recall)
        values = {"state": "in_progress", "leased_until": func.now() + lease}
        claimed = connection.execute(statement.values(values)).mappings().first()
        if claimed:
            waiting = update(product_order).where(_o.recall_id == claimed["id"], _o.status == "queued")
            connection.execute(waiting.values(status="in_progress", status_message="the product is being fetched"))
    return claimed


def assign(engine: Engine, recall_id: UUID, station: str, source_id: str) -> None:
    """Note the long-term archive that a product is fetched from, and the product's Id there."""
    with engine.begin() as connection:
        statement = update(recall).where(recall.c.id == recall_id, recall.c.state.in_(OPEN_RECALLS))
        connection.execute(statement.values(station=station, source_id=source_id))


def complete(engine: Engine, recall_id: UUID, online_until: datetime | None = None) -> bool:
    """Put a restored product online and complete its orders; False if the recall is over already.

    The orders of a product that was deleted meanwhile fail. The bytes must lie in the object store before. The
    product stays online for 3 days unless `online_until` is given.
    """
    eviction: datetime | None
    until = online_until or utc_now() + ONLINE_FOR
    wanted = select(recall.c.product_id).where(recall.c.id == recall_id).scalar_subquery()
    with engine.begin() as connection:
        # The product before the recall, as a deletion locks them.
        restored = update(product).where(product.c.id == wanted).values(online=True, eviction_date=until)
        if connection.execute(restored).rowcount == 0:
            reason = "the product is not published any more"
            done = _finish(connection, recall.c.id == recall_id, "failed", reason)
            status, message, eviction = "failed", reason, None
        else:
            done = _finish(connection, recall.c.id == recall_id, "completed", None)
            status, message, eviction = "completed", "the product is online", until
        if done is None:
            connection.rollback()
            return False
        notify(connection, _close(connection, done["id"], status, message, eviction))
    return True


def fail(engine: Engine, recall_id: UUID, reason: str) -> bool:
    """End a recall that cannot be served; its orders fail with the reason. False if it is over already."""
    with engine.begin() as connection:
        done = _finish(connection, recall.c.id == recall_id, "failed", reason)
        if done:
            notify(connection, _close(connection, done["id"], "failed", reason, None))
    return done is not None


def give_up(connection: Connection, product_id: UUID, reason: str) -> None:
    """End the open recall of a product that is gone, within the caller's transaction."""
    if done := _finish(connection, recall.c.product_id == product_id, "failed", reason):
        notify(connection, _close(connection, done["id"], "failed", reason, None))


def _finish(connection: Connection, which: object, state: str, reason: str | None) -> RowMapping | None:
    statement = update(recall).where(which, recall.c.state.in_(OPEN_RECALLS)).returning(recall)  # type: ignore[arg-type]
    values = {"state": state, "reason": reason, "finished": utc_now()}
    return connection.execute(statement.values(values)).mappings().first()


def _close(
    connection: Connection, recall_id: UUID, status: str, message: str, eviction: datetime | None
) -> list[RowMapping]:
    statement = update(product_order).where(_o.recall_id == recall_id, _o.status.in_(OPEN)).returning(product_order)
    values = {"status": status, "status_message": message, "eviction_date": eviction}
    if status == "completed":
        values["completed_date"] = utc_now()
    return list(connection.execute(statement.values(values)).mappings())
