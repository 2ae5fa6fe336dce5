"""Orders of products (reference-system.md §3.4): an offline product is recalled once, whoever orders it."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Interval, RowMapping, cast, func, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.messages import utc_now
from refsys.services.distribution.delivery.model import notification, product_order, recall
from refsys.services.distribution.odata.entities import EntitySet
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.odata.operands import Kind
from refsys.services.distribution.odata.serialise import timestamp

OPEN = ("queued", "in_progress")
OPEN_RECALLS = ("requested", "in_progress")
_RECALL_OPEN = recall.c.state.in_(OPEN_RECALLS)
_ESTIMATED_FROM = 20

_o = product_order.c
ORDERS = EntitySet(
    "Orders",
    product_order,
    {
        "Id": (Kind.GUID, _o.id),
        "ProductId": (Kind.GUID, _o.product_id),
        "ProductName": (Kind.TEXT, _o.product_name),
        "Status": (Kind.TEXT, _o.status),
        "OrderSize": (Kind.NUMBER, _o.order_size),
        "Priority": (Kind.NUMBER, _o.priority),
        "SubmissionDate": (Kind.DATE, _o.submission_date),
        "EstimatedDate": (Kind.DATE, _o.estimated_date),
        "CompletedDate": (Kind.DATE, _o.completed_date),
        "EvictionDate": (Kind.DATE, _o.eviction_date),
    },
    order="SubmissionDate",
)


def order_json(row: RowMapping, endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return one order in OData JSON."""
    return {
        "Id": str(row["id"]),
        "Status": row["status"],
        "StatusMessage": row["status_message"],
        "OrderSize": row["order_size"],
        "SubmissionDate": timestamp(row["submission_date"]),
        "EstimatedDate": timestamp(row["estimated_date"]),
        "CompletedDate": timestamp(row["completed_date"]),
        "EvictionDate": timestamp(row["eviction_date"]),
        "Priority": row["priority"],
        "ProductId": str(row["product_id"]),
        "ProductName": row["product_name"],
    } | endpoint


def require_online(product: RowMapping) -> None:
    """Raise the 403 of the bytes of a product that is offline: it has to be ordered first."""
    if not product["online"]:
        raise ODataError(
            403,
            "ProductOffline",
            f"{product['name']} is offline: order it by POST Products({product['id']})/OData.CSC.Order, "
            "and download it when the order's Status is completed",
        )


def place(
    connection: Connection, owner: str, product: RowMapping, priority: int, endpoint_id: UUID | None = None
) -> RowMapping:
    """Order a product of the PRIP and return the order: completed at once if the product is online."""
    now, order_id = utc_now(), uuid4()
    values: dict[str, Any] = {
        "id": order_id,
        "owner": owner,
        "product_id": product["id"],
        "product_name": product["name"],
        "order_size": product["content_length"],
        "priority": priority,
        "endpoint_id": endpoint_id,
        "submission_date": now,
    }
    if product["online"]:
        values |= {"status": "completed", "status_message": "the product is online", "completed_date": now}
        values |= {"estimated_date": now, "eviction_date": product["eviction_date"]}
    else:
        wanted = _recall(connection, product, priority)
        running = wanted["state"] == "in_progress"
        values |= {"status": "in_progress" if running else "queued", "recall_id": wanted["id"]}
        values |= {"status_message": "the product is being fetched" if running else "waiting for the archive"}
        values |= {"estimated_date": _estimate(connection)}
    row = connection.execute(product_order.insert().values(values).returning(product_order)).mappings().one()
    if row["status"] == "completed":
        notify(connection, [row])
    return row


def cancel(connection: Connection, order: RowMapping) -> RowMapping:
    """Cancel an open order; the recall goes on if another order waits for it.

    Raises:
        ODataError: 409 if the order is over.
    """
    statement = update(product_order).where(_o.id == order["id"], _o.status.in_(OPEN))
    values = {"status": "cancelled", "status_message": "cancelled by its owner"}
    row = connection.execute(statement.values(values).returning(product_order)).mappings().first()
    if row is None:
        raise ODataError(409, "OrderIsOver", f"the order is {order['status']}: there is nothing to cancel")
    others = select(_o.id).where(_o.recall_id == row["recall_id"], _o.status.in_(OPEN))
    connection.execute(
        update(recall)
        .where(recall.c.id == row["recall_id"], recall.c.state == "requested", ~others.exists())
        .values(state="cancelled", reason="no order waits for it", finished=utc_now())
    )
    return row


def has_open(connection: Connection, owner: str, product_id: UUID) -> bool:
    """Whether somebody waits for a product already."""
    statement = select(_o.id).where(_o.owner == owner, _o.product_id == product_id, _o.status.in_(OPEN)).limit(1)
    return connection.execute(statement).first() is not None


def notify(connection: Connection, orders: list[RowMapping]) -> None:
    """Queue the notification of orders that came to their end, where an endpoint was given."""
    queued = [
        {"order_id": row["id"], "endpoint_id": row["endpoint_id"], "moment": utc_now()}
        for row in orders
        if row["endpoint_id"]
    ]
    if queued:
        connection.execute(insert(notification).values(queued).on_conflict_do_nothing())


def _recall(connection: Connection, product: RowMapping, priority: int) -> RowMapping:
    """Return the open recall of a product, made if there is none; it gets the highest priority of its orders."""
    statement = insert(recall).values(
        id=uuid4(),
        product_id=product["id"],
        product_name=product["name"],
        content_length=product["content_length"],
        bucket=product["bucket"],
        object_key=product["object_key"],
        priority=priority,
        state="requested",
        requested=utc_now(),
    )
    raised = {"priority": func.greatest(recall.c.priority, statement.excluded.priority)}
    kept = statement.on_conflict_do_update(
        index_elements=[recall.c.product_id], index_where=_RECALL_OPEN, set_=raised
    ).returning(recall)
    return connection.execute(kept).mappings().one()


def _estimate(connection: Connection) -> Any:
    """Return when an order placed now will be completed, by the mean of the last recalls; None without any."""
    last = (
        select(recall.c.finished, recall.c.requested)
        .where(recall.c.state == "completed")
        .order_by(recall.c.finished.desc())
        .limit(_ESTIMATED_FROM)
        .subquery()
    )
    mean: timedelta | None = connection.execute(
        select(cast(func.avg(last.c.finished - last.c.requested), Interval))
    ).scalar_one()
    return None if mean is None else utc_now() + mean
