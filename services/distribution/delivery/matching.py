"""Matching: which subscriptions each product event concerns.

FilterParam goes through the same translation as `$filter` of a query, and PostgreSQL evaluates it for the products
of the events alone, within the collections that the owner's roles open. An event is matched once: the notifications
and the mark are written in one transaction.
"""

from collections.abc import Sequence
from typing import Any

from prometheus_client import Counter
from sqlalchemy import Connection, Engine, RowMapping, and_, func, select, text, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.common.logs import get_logger
from refsys.services.common.messages import utc_now
from refsys.services.distribution.access import DEFAULT, Roles, opened
from refsys.services.distribution.delivery import orders, queue
from refsys.services.distribution.delivery.deleted import deleted_json
from refsys.services.distribution.delivery.model import (
    deleted_product,
    endpoint,
    notification,
    product_event,
    subscription,
)
from refsys.services.distribution.delivery.subscriptions import Event, Status
from refsys.services.distribution.model import product
from refsys.services.distribution.odata.entities import over
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.odata.filter import where
from refsys.services.distribution.odata.query import Shape
from refsys.services.distribution.odata.serialise import product_json
from refsys.services.distribution.repository import explained

LOCK = "refsys matching"
BATCH = 100
FILTER_SECONDS = 10

_e, _s = product_event.c, subscription.c
QUEUED = Counter("refsys_notifications_queued_total", "Notifications queued, by event", ["event"])
DROPPED = Counter("refsys_notifications_dropped_total", "Notifications dropped because a queue was full")
log = get_logger()


def match(engine: Engine, roles: Roles = DEFAULT) -> int:
    """Match the next events and return how many; 0 if there are none.

    One matcher works at a time: notifications of a subscription become visible in the order of their AckIds.
    """
    with engine.begin() as connection:
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(LOCK, 0))))
        connection.execute(text(f"SET LOCAL statement_timeout = '{FILTER_SECONDS}s'"))
        fresh = select(product_event).where(~_e.matched).order_by(_e.id).limit(BATCH)
        events = connection.execute(fresh).mappings().all()
        if not events:
            return 0
        _keep_values(connection, events)
        # Whoever takes roles away waits for what is matched with them, and removes it then.
        running = select(subscription).where(_s.status == Status.RUNNING).order_by(_s.id).with_for_update(read=True)
        for row in connection.execute(running).mappings().all():
            _match(connection, row, events, opened(row["roles"], roles))
        ids = [event["id"] for event in events]
        connection.execute(update(product_event).where(_e.id.in_(ids)).values(matched=True))
    return len(events)


def _keep_values(connection: Connection, events: Sequence[RowMapping]) -> None:
    """Keep the products' JSON with the events, as it is now."""
    gone = {event["product_id"] for event in events if event["kind"] == Event.DELETED}
    there = {event["product_id"] for event in events} - gone
    expand = frozenset({"Attributes"})
    values: dict[tuple[bool, object], dict[str, Any]] = {}
    for row in connection.execute(select(product).where(product.c.id.in_(there))).mappings():
        values[False, row["id"]] = product_json(row, Shape(expand), root="")
    for row in connection.execute(select(deleted_product).where(deleted_product.c.id.in_(gone))).mappings():
        values[True, row["id"]] = deleted_json(row, expand)
    for event in events:
        value = values.get((event["kind"] == Event.DELETED, event["product_id"]))
        if value:
            connection.execute(update(product_event).where(_e.id == event["id"]).values(value=value))


def _match(
    connection: Connection, row: RowMapping, events: Sequence[RowMapping], visible: ColumnElement[bool] | None
) -> None:
    """Queue the notifications of one subscription; one whose filter fails is paused with the reason."""
    wanted = [event for event in events if event["kind"] in row["events"] and event["moment"] >= row["submission_date"]]
    if not wanted:
        return
    try:
        wished = [where(row["filter_param"])] if row["filter_param"].strip() else []
        condition = and_(true(), *wished, *([] if visible is None else [visible]))
        with connection.begin_nested():
            concerned = _concerned(connection, wanted, condition)
    except ODataError as error:
        _pause(connection, row, error)
        return
    except DBAPIError as error:
        told = explained(error)
        if error.connection_invalidated or not isinstance(told, ODataError):
            raise
        if told.status != 400 and told.code != "QueryTimeout":
            raise
        _pause(connection, row, told)
        return
    _queue(connection, row, [event for event in wanted if event["id"] in concerned])


def _concerned(connection: Connection, events: Sequence[RowMapping], condition: ColumnElement[bool]) -> set[int]:
    """Return the Ids of the events whose product satisfies the condition."""
    found: set[int] = set()
    for table, deletions in ((product, False), (deleted_product, True)):
        ids = [event["id"] for event in events if (event["kind"] == Event.DELETED) == deletions]
        if not ids:
            continue
        statement = select(_e.id).join_from(product_event, table, table.c.id == _e.product_id).where(_e.id.in_(ids))
        statement = statement.where(over(table, condition) if deletions else condition)
        found |= set(connection.execute(statement).scalars())
    return found


def _queue(connection: Connection, row: RowMapping, events: Sequence[RowMapping]) -> None:
    if not events:
        return
    now = utc_now()
    values = [
        {"subscription_id": row["id"], "event_id": event["id"], "endpoint_id": row["endpoint_id"], "moment": now}
        for event in events
    ]
    connection.execute(insert(notification).values(values).on_conflict_do_nothing())
    connection.execute(update(subscription).where(_s.id == row["id"]).values(last_notification_date=now))
    if row["stage_order"]:
        _stage(connection, row, events)
    if dropped := queue.limit(connection, row["id"]):
        DROPPED.inc(dropped)
        log.warning("a full queue lost its oldest notifications", subscription=str(row["id"]), dropped=dropped)
    for event in events:
        QUEUED.labels(event["kind"]).inc()


def _stage(connection: Connection, row: RowMapping, events: Sequence[RowMapping]) -> None:
    """Order the offline products that the subscriber is told of (StageOrder)."""
    ids = {event["product_id"] for event in events if event["kind"] != Event.DELETED}
    offline = select(product).where(product.c.id.in_(ids), ~product.c.online)
    for found in connection.execute(offline).mappings().all():
        if not orders.has_open(connection, row["owner"], found["id"]):
            orders.place(connection, row["owner"], found, row["priority"])


def _pause(connection: Connection, row: RowMapping, error: ODataError) -> None:
    log.warning("a subscription is paused: its filter fails", subscription=str(row["id"]), error=error.message)
    values = {"status": Status.PAUSED, "status_message": f"paused: {error.message}"}
    connection.execute(update(subscription).where(_s.id == row["id"]).values(values))
    connection.execute(update(endpoint).where(endpoint.c.id == row["endpoint_id"]).values(active=False))
