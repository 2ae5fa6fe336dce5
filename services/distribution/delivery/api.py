"""The endpoints of delivery under `/odata/v1`: Subscriptions, Orders, DeletedProducts, metalinks."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field
from sqlalchemy import Engine, RowMapping
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.common.settings import DeliverySettings
from refsys.services.distribution.access import Caller, Identified, caller, opened, opening
from refsys.services.distribution.auth import Identity
from refsys.services.distribution.delivery import metalinks, orders, queue, subscriptions
from refsys.services.distribution.delivery.deleted import DELETED_PRODUCTS, deleted_json, known
from refsys.services.distribution.delivery.endpoints import NOT_SHOWN, EndpointFields, Endpoints, shown
from refsys.services.distribution.delivery.entities import Entities, guid, page_body
from refsys.services.distribution.delivery.guard import Guard
from refsys.services.distribution.delivery.model import deleted_product, product_order, subscription
from refsys.services.distribution.delivery.orders import ORDERS, order_json
from refsys.services.distribution.delivery.requests import ROOT, Answer, body
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.distribution.delivery.subscriptions import SUBSCRIPTIONS, subscription_json
from refsys.services.distribution.odata.entities import EntitySet, over
from refsys.services.distribution.odata.errors import bad_option
from refsys.services.distribution.odata.query import read_set_query

READ_TOP = 20


@dataclass(frozen=True)
class Delivery:
    """What the endpoints work with."""

    entities: Entities
    endpoints: Endpoints


def attach(app: FastAPI, engine: Engine, settings: DeliverySettings) -> None:
    """Add the endpoints of delivery to the PRIP's application."""
    guard = Guard(settings.allowed_networks)
    app.state.delivery = Delivery(Entities(engine), Endpoints(Cipher(settings.key_file), guard))
    app.include_router(router)


def _delivery(request: Request) -> Delivery:
    found: Delivery = request.app.state.delivery
    return found


Delivered = Annotated[Delivery, Depends(_delivery)]


def _refresh(request: Request, delivery: Delivered, identity: Identified) -> None:
    """Have the caller's subscriptions follow his roles, also when he has none any more and is refused."""
    roles = request.app.state.roles
    names = opening(identity, roles)
    with delivery.entities.transaction() as connection:
        subscriptions.refresh(connection, identity.name, names, opened(names, roles))


router = APIRouter(prefix=ROOT, dependencies=[Depends(_refresh), Depends(caller)])


def _visible(request: Request) -> ColumnElement[bool] | None:
    """What the caller may see; None is all."""
    found: ColumnElement[bool] | None = request.state.visible
    return found


def _orders(request: Request, caller: Caller) -> list[ColumnElement[bool]]:
    """The caller's orders, of products that he may see."""
    return [product_order.c.owner == caller.name, *known(product_order.c.product_id, _visible(request))]


def _deleted(request: Request, _: Caller) -> list[ColumnElement[bool]]:
    """The deleted products that the caller may see."""
    visible = _visible(request)
    return [] if visible is None else [over(deleted_product, visible)]


Orders = Annotated[list[ColumnElement[bool]], Depends(_orders)]
Deleted = Annotated[list[ColumnElement[bool]], Depends(_deleted)]


class NewOrder(EndpointFields):
    """The body of `POST Products(<Id>)/OData.CSC.Order`."""

    priority: int = Field(default=1, ge=1, le=100)


# Subscriptions


@router.post("/Subscriptions")
def subscribe(
    request: Request,
    delivery: Delivered,
    caller: Caller,
    wanted: Annotated[subscriptions.NewSubscription, Depends(body(subscriptions.NewSubscription))],
) -> Response:
    """Make a subscription; the signing secret of a push subscription is shown in this answer only."""
    subscriptions.check(wanted, delivery.endpoints)
    with delivery.entities.transaction() as connection:
        roles = opening(caller, request.app.state.roles)
        row, secret = subscriptions.subscribe(connection, caller.name, roles, wanted, delivery.endpoints)
        made = subscription_json(row, _endpoint(connection, row))
    location = f"{_url(request, 'Subscriptions')}({row['id']})"
    return Answer(_entity("Subscriptions") | made | _secret(secret), 201, location)


@router.get("/Subscriptions")
def list_subscriptions(request: Request, delivery: Delivered, caller: Caller) -> Response:
    """Return a page of the caller's subscriptions."""
    return _page(request, delivery, SUBSCRIPTIONS, subscription.c.owner == caller.name)


@router.get("/Subscriptions({key})")
def read_subscription(key: str, delivery: Delivered, caller: Caller) -> Response:
    """Return one of the caller's subscriptions."""
    row = _subscription(delivery, key, caller)
    with delivery.entities.transaction() as connection:
        return Answer(_entity("Subscriptions") | subscription_json(row, _endpoint(connection, row)))


@router.patch("/Subscriptions({key})")
def change_subscription(
    key: str,
    delivery: Delivered,
    caller: Caller,
    wanted: Annotated[subscriptions.Change, Depends(body(subscriptions.Change))],
) -> Response:
    """Pause, resume or cancel a subscription by its Status."""
    before = _subscription(delivery, key, caller)
    with delivery.entities.transaction() as connection:
        row = subscriptions.change(connection, before, wanted.status)
        return Answer(_entity("Subscriptions") | subscription_json(row, _endpoint(connection, row)))


@router.delete("/Subscriptions({key})")
def cancel_subscription(key: str, delivery: Delivered, caller: Caller) -> Response:
    """Cancel a subscription."""
    before = _subscription(delivery, key, caller)
    with delivery.entities.transaction() as connection:
        subscriptions.change(connection, before, subscriptions.Status.CANCELLED)
    return Response(status_code=204, headers={"OData-Version": "4.0"})


@router.get("/Subscriptions({key})/Read")
def read_notifications(key: str, request: Request, delivery: Delivered, caller: Caller) -> Response:
    """Return the oldest notifications of a pull subscription, at most 20; they come again until acknowledged."""
    row = _subscription(delivery, key, caller)
    _only_pull(row, "Read")
    top = request.query_params.get("$top", str(READ_TOP))
    if not top.isdecimal() or not 1 <= int(top) <= READ_TOP:
        raise bad_option("$top", f"'{top[:20]}' is not a whole number from 1 to {READ_TOP}")
    with delivery.entities.transaction() as connection:
        return Answer(queue.read(connection, row["id"], int(top)))


@router.post("/Subscriptions({key})/Ack")
def acknowledge(key: str, request: Request, delivery: Delivered, caller: Caller) -> Response:
    """Acknowledge the notification `$ackid` and all before it."""
    row = _subscription(delivery, key, caller)
    _only_pull(row, "Ack")
    ack_id = request.query_params.get("$ackid")
    if ack_id is None:
        raise bad_option("$ackid", "is missing: give the AckId of the last notification you have kept")
    with delivery.entities.transaction() as connection:
        number = queue.acknowledge(connection, row["id"], ack_id)
    return Answer({"@odata.context": "$metadata#Edm.Int32", "value": number})


# Orders


@router.post("/Products({key})/OData.CSC.Order")
def order(
    key: str,
    request: Request,
    delivery: Delivered,
    caller: Caller,
    wanted: Annotated[NewOrder, Depends(body(NewOrder))],
) -> Response:
    """Order a product."""
    delivery.endpoints.check(wanted)
    product = delivery.entities.seen_by(_visible(request)).by_id(guid("Products", key))
    with delivery.entities.transaction() as connection:
        endpoint_id, secret = delivery.endpoints.make(connection, wanted)
        row = orders.place(connection, caller.name, product, wanted.priority, endpoint_id)
        made = order_json(row, _endpoint(connection, row))
    context = {"@odata.context": "$metadata#OData.CSC.Order"}
    return Answer(context | made | _secret(secret), 201, f"{_url(request, 'Orders')}({row['id']})")


@router.get("/Orders")
def list_orders(request: Request, delivery: Delivered, scope: Orders) -> Response:
    """Return a page of the caller's orders."""
    return _page(request, delivery, ORDERS, *scope)


@router.get("/Orders({key})")
def read_order(key: str, delivery: Delivered, scope: Orders) -> Response:
    """Return one of the caller's orders."""
    row = delivery.entities.one(ORDERS, key, *scope)
    with delivery.entities.transaction() as connection:
        return Answer(_entity("Orders") | order_json(row, _endpoint(connection, row)))


@router.post("/Orders({key})/OData.CSC.Cancel")
def cancel_order(key: str, delivery: Delivered, scope: Orders) -> Response:
    """Cancel an order that is not over."""
    before = delivery.entities.one(ORDERS, key, *scope)
    with delivery.entities.transaction() as connection:
        row = orders.cancel(connection, before)
        return Answer(_entity("Orders") | order_json(row, _endpoint(connection, row)))


# DeletedProducts


@router.get("/DeletedProducts")
def list_deleted(request: Request, delivery: Delivered, scope: Deleted) -> Response:
    """Return a page of deleted products."""
    pairs = request.query_params.multi_items()
    query = DELETED_PRODUCTS.query(pairs)
    page = delivery.entities.select(DELETED_PRODUCTS, query, *scope)
    values = [deleted_json(row, query.expand) for row in page.rows]
    return Answer(
        page_body("DeletedProducts", page, values, url=_url(request, "DeletedProducts"), pairs=pairs, query=query)
    )


@router.get("/DeletedProducts/$count")
def count_deleted(request: Request, delivery: Delivered, scope: Deleted) -> Response:
    """Return how many deleted products satisfy `$filter`."""
    query = DELETED_PRODUCTS.query(request.query_params.multi_items())
    number = delivery.entities.number(DELETED_PRODUCTS, query, *scope)
    return PlainTextResponse(str(number), headers={"OData-Version": "4.0"})


@router.get("/DeletedProducts({key})")
def read_deleted(key: str, request: Request, delivery: Delivered, scope: Deleted) -> Response:
    """Return one deleted product."""
    expand = DELETED_PRODUCTS.entity_query(request.query_params.multi_items())
    row = delivery.entities.one(DELETED_PRODUCTS, key, *scope)
    return Answer(_entity("DeletedProducts") | deleted_json(row, expand))


# Metalinks


@router.get("/Products({key})/$value.meta4")
def product_metalink(key: str, request: Request, delivery: Delivered) -> Response:
    """Return the metalink of one product."""
    row = delivery.entities.seen_by(_visible(request)).by_id(guid("Products", key))
    orders.require_online(row)
    return metalinks.answer([row], _url(request, "Products"))


@router.get("/Products.meta4")
def query_metalink(request: Request, delivery: Delivered) -> Response:
    """Return the metalink of a page of products, with the query options of Products."""
    page = delivery.entities.seen_by(_visible(request)).page(read_set_query(request.query_params.multi_items()))
    return metalinks.answer(page.rows, _url(request, "Products"))


def _page(request: Request, delivery: Delivery, entity_set: EntitySet, *scope: ColumnElement[bool]) -> Response:
    pairs = request.query_params.multi_items()
    query = entity_set.query(pairs)
    page = delivery.entities.select(entity_set, query, *scope)
    as_json = subscription_json if entity_set is SUBSCRIPTIONS else order_json
    ids: set[UUID] = {row["endpoint_id"] for row in page.rows if row["endpoint_id"]}
    with delivery.entities.transaction() as connection:
        known = shown(connection, ids) if ids else {}
    values = [as_json(row, known.get(row["endpoint_id"], NOT_SHOWN)) for row in page.rows]
    return Answer(
        page_body(entity_set.name, page, values, url=_url(request, entity_set.name), pairs=pairs, query=query)
    )


def _subscription(delivery: Delivery, key: str, caller: Identity) -> RowMapping:
    return delivery.entities.one(SUBSCRIPTIONS, key, subscription.c.owner == caller.name)


def _only_pull(row: RowMapping, action: str) -> None:
    if row["type"] != subscriptions.Type.PULL:
        raise bad_option(action, "is for pull subscriptions; this one posts to its NotificationEndpoint")


def _endpoint(connection: Any, row: RowMapping) -> dict[str, Any]:
    return shown(connection, {row["endpoint_id"]})[row["endpoint_id"]] if row["endpoint_id"] else NOT_SHOWN


def _secret(secret: str | None) -> dict[str, Any]:
    return {"NotificationSecret": secret} if secret else {}


def _entity(name: str) -> dict[str, Any]:
    return {"@odata.context": f"$metadata#{name}/$entity"}


def _url(request: Request, name: str) -> str:
    return f"{request.app.state.public_url}{ROOT}/{name}"
