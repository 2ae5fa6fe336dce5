"""Subscriptions (reference-system.md §3.5): made, read, paused, resumed and cancelled by their owner."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import uuid4

from pydantic import BeforeValidator, Field
from sqlalchemy import Connection, RowMapping, delete, func, select, update
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.delivery.deleted import known
from refsys.services.distribution.delivery.endpoints import EndpointFields, Endpoints, Request
from refsys.services.distribution.delivery.model import endpoint, notification, product_event, subscription
from refsys.services.distribution.odata.entities import EntitySet
from refsys.services.distribution.odata.errors import ODataError, bad_option
from refsys.services.distribution.odata.filter import where
from refsys.services.distribution.odata.operands import Kind
from refsys.services.distribution.odata.serialise import timestamp

RUNNING_PER_USER = 1
PER_USER = 10


class Status(StrEnum):
    """States of a subscription; a cancelled one stays so."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What may happen to a product."""

    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"


class Type(StrEnum):
    """Whether the subscriber asks for notifications or gets them posted."""

    PULL = "pull"
    PUSH = "push"


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


class NewSubscription(EndpointFields):
    """The body of `POST Subscriptions`."""

    filter_param: str = Field(default="", max_length=16_384)
    stage_order: bool = False
    priority: int = Field(default=1, ge=1, le=100)
    status: Status = Status.RUNNING
    subscription_event: Annotated[
        list[Event], BeforeValidator(_several), Field(default=[Event.CREATED], min_length=1, max_length=3)
    ]
    subscription_type: Type


class Change(Request):
    """The body of `PATCH Subscriptions(<Id>)`."""

    status: Status


_s, _e = subscription.c, product_event.c
SUBSCRIPTIONS = EntitySet(
    "Subscriptions",
    subscription,
    {
        "Id": (Kind.GUID, _s.id),
        "FilterParam": (Kind.TEXT, _s.filter_param),
        "StageOrder": (Kind.BOOLEAN, _s.stage_order),
        "Priority": (Kind.NUMBER, _s.priority),
        "Status": (Kind.TEXT, _s.status),
        "SubscriptionType": (Kind.TEXT, _s.type),
        "SubmissionDate": (Kind.DATE, _s.submission_date),
        "LastNotificationDate": (Kind.DATE, _s.last_notification_date),
    },
    order="SubmissionDate",
)


def subscription_json(row: RowMapping, endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return one subscription in OData JSON."""
    return {
        "Id": str(row["id"]),
        "FilterParam": row["filter_param"],
        "StageOrder": row["stage_order"],
        "Priority": row["priority"],
        "Status": row["status"],
        "StatusMessage": row["status_message"],
        "SubscriptionEvent": row["events"],
        "SubscriptionType": row["type"],
        "SubmissionDate": timestamp(row["submission_date"]),
        "LastNotificationDate": timestamp(row["last_notification_date"]),
    } | endpoint


def check(wanted: NewSubscription, endpoints: Endpoints) -> None:
    """Raise the 400 of a subscription that could never be served."""
    if wanted.filter_param.strip():
        where(wanted.filter_param)
    endpoints.check(wanted)
    if (wanted.subscription_type is Type.PUSH) != (wanted.notification_endpoint is not None):
        raise bad_option("NotificationEndpoint", "is needed for SubscriptionType push, and has no use for pull")
    if wanted.status is Status.CANCELLED:
        raise bad_option("Status", "a subscription starts running or paused")


def subscribe(
    connection: Connection, owner: str, roles: list[str], wanted: NewSubscription, endpoints: Endpoints
) -> tuple[RowMapping, str | None]:
    """Keep a checked subscription; return it with the signing secret of its endpoint, if it has one.

    `roles` are those of the owner that open products.

    Raises:
        ODataError: 409 if the user has as many as are allowed.
    """
    _check_limits(connection, owner, wanted.status)
    endpoint_id, secret = endpoints.make(connection, wanted)
    values = {
        "id": uuid4(),
        "owner": owner,
        "roles": roles,
        "filter_param": wanted.filter_param,
        "stage_order": wanted.stage_order,
        "priority": wanted.priority,
        "status": wanted.status,
        "events": list(dict.fromkeys(wanted.subscription_event)),
        "type": wanted.subscription_type,
        "endpoint_id": endpoint_id,
        "submission_date": func.clock_timestamp(),  # the clock that events are dated by
    }
    row = connection.execute(subscription.insert().values(values).returning(subscription)).mappings().one()
    if endpoint_id:
        _activate(connection, row)
    return row, secret


def refresh(connection: Connection, owner: str, roles: list[str], visible: ColumnElement[bool] | None) -> None:
    """Match the owner's subscriptions by the roles that he has now; `visible` is what they open, None is all.

    What waits of products that he may not see any more is removed.
    """
    changing = update(subscription).where(_s.owner == owner, _s.status != Status.CANCELLED, _s.roles != roles)
    changed = connection.execute(changing.values(roles=roles).returning(_s.id)).scalars().all()
    if not changed:
        return
    of_seen = select(_e.id).where(_e.id == notification.c.event_id, *known(_e.product_id, visible))
    queued = delete(notification).where(notification.c.subscription_id.in_(changed))
    connection.execute(queued.where(~of_seen.correlate(notification).exists()))


def change(connection: Connection, before: RowMapping, status: Status) -> RowMapping:
    """Pause, resume or cancel a subscription; what waits is kept while it is paused.

    Raises:
        ODataError: 409 if it is cancelled already, or another one is running.
    """
    if before["status"] == status == Status.CANCELLED:
        return before
    if status is Status.RUNNING and before["status"] != Status.RUNNING:
        _check_limits(connection, before["owner"], status, new=False)
    statement = update(subscription).where(_s.id == before["id"], _s.status != Status.CANCELLED)
    changed = statement.values(status=status, status_message=None).returning(subscription)
    row = connection.execute(changed).mappings().first()
    if row is None:
        raise ODataError(409, "Cancelled", "the subscription is cancelled: make a new one")
    _activate(connection, row)
    if status is Status.CANCELLED:
        connection.execute(delete(notification).where(notification.c.subscription_id == row["id"]))
    return row


def _activate(connection: Connection, row: RowMapping) -> None:
    """Post to the endpoint of a subscription while that is running, from now on."""
    running = row["status"] == Status.RUNNING
    values = {"active": running, "next_attempt": func.now()}
    connection.execute(update(endpoint).where(endpoint.c.id == row["endpoint_id"]).values(values))


def _check_limits(connection: Connection, owner: str, status: Status, *, new: bool = True) -> None:
    lock = func.hashtextextended(f"refsys subscriptions of {owner}", 0)
    connection.execute(select(func.pg_advisory_xact_lock(lock)))
    statuses = (
        connection.execute(select(_s.status).where(_s.owner == owner, _s.status != Status.CANCELLED)).scalars().all()
    )
    if new and len(statuses) >= PER_USER:
        raise ODataError(409, "TooManySubscriptions", f"a user has at most {PER_USER} subscriptions: cancel one first")
    if status is Status.RUNNING and statuses.count(Status.RUNNING) >= RUNNING_PER_USER:
        raise ODataError(
            409, "TooManyRunning", f"a user has at most {RUNNING_PER_USER} running subscription: pause it first"
        )
