"""The HTTP endpoints of the PRIP: OData under `/odata/v1`, operators' views under `/operations/v1`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse

from refsys.services.distribution.access import Caller, Published, caller
from refsys.services.distribution.auth import OPERATOR, require
from refsys.services.distribution.delivery.orders import require_online
from refsys.services.distribution.download import Content, Downloads
from refsys.services.distribution.filter_list import read_names
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.odata.metadata import metadata_document, service_document
from refsys.services.distribution.odata.query import next_link, read_entity_query, read_set_query
from refsys.services.distribution.odata.serialise import attributes_json, product_json, quicklooks_json
from refsys.services.distribution.repository import Products

ROOT = "/odata/v1"

odata = APIRouter(prefix=ROOT, dependencies=[Depends(caller)])
operations = APIRouter(prefix="/operations/v1", dependencies=[Depends(require(OPERATOR))])


class ODataResponse(JSONResponse):
    """JSON with the headers of OData 4.0."""

    media_type = "application/json;odata.metadata=minimal;charset=utf-8"

    def __init__(self, content: object) -> None:
        """Answer 200 with `content`."""
        super().__init__(content, headers={"OData-Version": "4.0"})


@odata.get("")
@odata.get("/")
def service() -> Response:
    """Return the service document."""
    return ODataResponse(service_document("$metadata"))


@odata.get("/$metadata")
def metadata() -> Response:
    """Return the entity model."""
    return Response(metadata_document(), media_type="application/xml", headers={"OData-Version": "4.0"})


@odata.get("/Products")
def search(request: Request, published: Published) -> Response:
    """Return a page of products."""
    pairs, root = request.query_params.multi_items(), _root(request)
    query = read_set_query(pairs)
    page = published.page(query)
    body: dict[str, Any] = {"@odata.context": f"$metadata#{query.shape.context}"}
    if page.count is not None:
        body["@odata.count"] = page.count
    body["value"] = [product_json(row, query.shape, root) for row in page.rows]
    if page.more:
        body["@odata.nextLink"] = next_link(f"{root}/Products", pairs, query, page.rows[-1])
    return ODataResponse(body)


@odata.get("/Products/$count")
def count(request: Request, published: Published) -> Response:
    """Return the number of products that satisfy `$filter`."""
    query = read_set_query(request.query_params.multi_items())
    return PlainTextResponse(str(published.count(query.condition)), headers={"OData-Version": "4.0"})


@odata.post("/Products/OData.CSC.FilterList")
async def filter_list(request: Request, published: Published) -> Response:
    """Return the products of the names in the body; names of none are left out."""
    query = read_set_query(request.query_params.multi_items())
    rows = await run_in_threadpool(published.named, await read_names(request), query)
    body: dict[str, Any] = {"@odata.context": f"$metadata#{query.shape.context}"}
    if query.count:
        body["@odata.count"] = len(rows)
    body["value"] = [product_json(row, query.shape, _root(request)) for row in rows]
    return ODataResponse(body)


@odata.get("/Products({key})")
def entity(key: str, request: Request, published: Published) -> Response:
    """Return one product."""
    shape = read_entity_query(request.query_params.multi_items())
    body = {"@odata.context": f"$metadata#{shape.context}/$entity"}
    return ODataResponse(body | product_json(published.by_id(_guid(key)), shape, _root(request)))


@odata.get("/Products({key})/Attributes")
def attributes(key: str, published: Published) -> Response:
    """Return the attributes of one product."""
    row = published.by_id(_guid(key))
    context = f"$metadata#Products({row['id']})/Attributes"
    return ODataResponse({"@odata.context": context, "value": attributes_json(row["attributes"])})


@odata.get("/Products({key})/Quicklooks")
def quicklooks(key: str, published: Published) -> Response:
    """Return the quicklooks of one product; auxiliary data has none."""
    row = published.by_id(_guid(key))
    context = f"$metadata#Products({row['id']})/Quicklooks"
    return ODataResponse({"@odata.context": context, "value": quicklooks_json(row["quicklooks"])})


def downloads(request: Request) -> Downloads:
    """Return what delivers files."""
    found: Downloads = request.app.state.downloads
    return found


@odata.api_route("/Products({key})/$value", methods=["GET", "HEAD"])
async def value(
    key: str, request: Request, published: Published, _: Caller, delivering: Annotated[Downloads, Depends(downloads)]
) -> Response:
    """Return the bytes of one product."""
    row = await run_in_threadpool(published.by_id, _guid(key))
    require_online(row)
    return await delivering.answer(request, Content.of_product(row))


@odata.api_route("/Products({key})/Quicklooks({image})/$value", methods=["GET", "HEAD"])
async def quicklook(
    key: str,
    image: str,
    request: Request,
    published: Published,
    delivering: Annotated[Downloads, Depends(downloads)],
) -> Response:
    """Return the bytes of one quicklook."""
    row = await run_in_threadpool(published.by_id, _guid(key))
    name = image[1:-1].replace("''", "'") if image[:1] == image[-1:] == "'" else image
    return await delivering.answer(request, Content.of_quicklook(row, name))


@operations.get("/products/{name}/timeline")
def timeline(name: str, request: Request) -> Response:
    """Return when a product reached each step from the station to its publication (UTC)."""
    everything: Products = request.app.state.products
    row = everything.trace(name)
    steps = {step: moment for step, moment in row["trace"].items() if step != "traceId"}
    return JSONResponse(
        {"productId": str(row["id"]), "productName": row["name"], "missionId": row["mission"], "trace": steps}
    )


def _root(request: Request) -> str:
    return f"{request.app.state.public_url}{ROOT}"


def _guid(key: str) -> UUID:
    try:
        return UUID(key.removeprefix("Id=").strip("'"))
    except ValueError as error:
        message = f"'{key[:60]}' is not a GUID: write Products(<Id>) with the Id of a product"
        raise ODataError(400, "InvalidKey", message, target="Products") from error
