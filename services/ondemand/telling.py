"""Telling subscribers of orders: a changed state is queued as a notification, which the process `notifier` posts.

What changed is written down by a trigger, in the transaction of the change; here it is told once, and forgotten.
"""

from uuid import UUID

from sqlalchemy import Connection, RowMapping, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.database import lock_transaction
from refsys.services.common.messages import utc_now
from refsys.services.distribution.delivery.entities import Entities
from refsys.services.distribution.delivery.model import notification
from refsys.services.ondemand.documents import Addresses, all_published, job_list, results, status_info
from refsys.services.ondemand.states import Standing, Status, standing, standings
from refsys.services.ondemand.tables import OrderChange, OrderRequest

LOCK = "refsys orders' subscribers"
BATCH = 100
PUBLISHING_SECONDS = 15 * 60
"""For so long an order's end is not told while its products are on their way to the PRIP."""


def tell(entities: Entities, addresses: Addresses) -> None:
    """Queue what subscribers are to be told."""
    with entities.transaction() as connection:
        lock_transaction(connection, LOCK)
        age = func.extract("epoch", func.now() - func.max(OrderChange.moment))
        changes = select(OrderChange.request_id, func.max(OrderChange.id), age).group_by(OrderChange.request_id)
        for request, last, seconds in connection.execute(changes.limit(BATCH)).all():
            row = connection.execute(standings(OrderRequest.id == request)).mappings().one_or_none()
            if row is None or _told(connection, row, addresses, late=seconds > PUBLISHING_SECONDS):
                done = (OrderChange.request_id == request, OrderChange.id <= last)
                connection.execute(delete(OrderChange).where(*done))


def _told(connection: Connection, row: RowMapping, addresses: Addresses, *, late: bool) -> bool:
    """Queue the notification of an order; False if its products are waited for."""
    now = standing(row)
    said = f"{now.status} {now.progress}"
    if said == row["told"]:
        return True
    body = status_info(row, addresses)
    if now.status is Status.SUCCESSFUL:
        body = results(job_list(connection, row["id"], addresses))
        if not late and not all_published(body):
            return False
    if endpoint := _endpoint(row, now):
        values = {"endpoint_id": endpoint, "body": body, "moment": utc_now()}
        connection.execute(insert(notification).values(values))
    connection.execute(update(OrderRequest).where(OrderRequest.id == row["id"]).values(told=said))
    return True


def _endpoint(row: RowMapping, now: Standing) -> UUID | None:
    match now.status:
        case Status.SUCCESSFUL:
            name = "success"
        case Status.FAILED | Status.DISMISSED:
            name = "failed"
        case _:
            name = "in_progress"
    found: UUID | None = row[name]
    return found
