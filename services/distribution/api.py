"""The HTTP endpoints of the PRIP: OData under `/odata/v1`, operators' views under `/operations/v1`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse

from refsys.services.distribution import download
from refsys.services.distribution.auth import OPERATOR, USER, Identity, require
from refsys.services.distribution.odata.errors import bad_option
from refsys.services.distribution.odata.metadata import metadata_document, service_document
from refsys.services.distribution.odata.query import next_link, read_entity_query, read_set_query
from refsys.services.distribution.odata.serialise import attributes_json, product_json
from refsys.services.distribution.repository import Products

ROOT = "/odata/v1"

odata = APIRouter(prefix=ROOT, dependencies=[Depends(require(USER))])
operations = APIRouter(prefix="/operations/v1", dependencies=[Depends(require(OPERATOR))])


class ODataResponse(JSONResponse):
    """JSON with the headers of OData 4.0."""

    media_type = "application/json;odata.metadata=minimal;charset=utf-8"

    def __init__(self, content: object) -> None:
        """Answer 200 with `content`."""
        super().__init__(content, headers={"OData-Version": "4.0"})


def products(request: Request) -> Products:
    """Return the published products."""
    found: Products = request.app.state.products
    return found


Published = Annotated[Products, Depends(products)]
Caller = Annotated[Identity, Depends(require(USER))]


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
    pairs = request.query_params.multi_items()
    query = read_set_query(pairs)
    page = published.page(query)
    body: dict[str, Any] = {"@odata.context": "$metadata#Products"}
    if page.count is not None:
        body["@odata.count"] = page.count
    body["value"] = [product_json(row, query.expand) for row in page.rows]
    if page.more:
        url = f"{request.app.state.public_url}{ROOT}/Products"
        body["@odata.nextLink"] = next_link(url, pairs, query)
    return ODataResponse(body)


@odata.get("/Products/$count")
def count(request: Request, published: Published) -> Response:
    """Return the number of products that satisfy `$filter`."""
    query = read_set_query(request.query_params.multi_items())
    return PlainTextResponse(str(published.count(query.condition)), headers={"OData-Version": "4.0"})


@odata.get("/Products({key})")
def entity(key: str, request: Request, published: Published) -> Response:
    """Return one product."""
    expand = read_entity_query(request.query_params.multi_items())
    body = {"@odata.context": "$metadata#Products/$entity"}
    return ODataResponse(body | product_json(published.by_id(_guid(key)), expand))


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
    return ODataResponse({"@odata.context": f"$metadata#Products({row['id']})/Quicklooks", "value": []})


@odata.api_route("/Products({key})/$value", methods=["GET", "HEAD"])
async def value(key: str, request: Request, published: Published, caller: Caller) -> Response:
    """Return the bytes of one product."""
    row = await run_in_threadpool(published.by_id, _guid(key))
    return await download.value(request, row, request.app.state.store)


@operations.get("/products/{name}/timeline")
def timeline(name: str, published: Published) -> Response:
    """Return when a product reached each step from the station to its publication (UTC)."""
    row = published.trace(name)
    return JSONResponse(
        {"productId": str(row["id"]), "productName": row["name"], "missionId": row["mission"], "trace": row["trace"]}
    )


def _guid(key: str) -> UUID:
    try:
        return UUID(key.strip("'"))
    except ValueError as error:
        raise bad_option("Products(<Id>)", f"'{key[:60]}' is not a GUID") from error
