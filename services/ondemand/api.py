"""The HTTP endpoints of on-demand production under `/ogc`: OGC API - Processes, Part 1: Core 1.0 (18-062r2)."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from refsys.services.distribution.access import Identified
from refsys.services.distribution.auth import OPERATOR, Identity
from refsys.services.distribution.delivery.requests import body
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.ondemand import documents, processes
from refsys.services.ondemand.documents import JSON, Addresses, status_info
from refsys.services.ondemand.inputs import Execute, read_key
from refsys.services.ondemand.orders import Orders
from refsys.services.ondemand.problems import NO_JOB, NOT_READY
from refsys.services.ondemand.processes import Processes
from refsys.services.ondemand.states import OPEN, Status, standing

ROOT = "/ogc"
USER = "ondemand-user"
PAGE, PAGE_LIMIT, SKIP_LIMIT = 20, 1000, 1_000_000
CONFORMANCE = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"
CLASSES = ("core", "ogc-process-description", "json", "callback", "dismiss")
_URI = {"type": "string", "format": "uri"}
BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "inputs": {"type": "object"},
                    "outputs": {"type": "object"},
                    "response": {"enum": ["document"]},
                    "subscriber": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["successUri"],
                        "properties": {"successUri": _URI, "inProgressUri": _URI, "failedUri": _URI},
                    },
                },
            }
        }
    },
}
"""`Execute`, as the description of the API has it."""


async def _user(identity: Identified) -> Identity:
    """Return the caller, who may order products or sees all orders."""
    if not identity.roles & {USER, OPERATOR}:
        message = f"user {identity.name} has neither the role {USER} nor {OPERATOR}: ask the operator for one"
        raise ODataError(403, "Forbidden", message)
    return identity


def _orders(request: Request) -> Orders:
    found: Orders = request.app.state.orders
    return found


def _processes(request: Request) -> Processes:
    found: Processes = request.app.state.processes
    return found


def _addresses(request: Request) -> Addresses:
    found: Addresses = request.app.state.addresses
    return found


def _identifier(job: str) -> UUID:
    """Return the id of an order in an address."""
    try:
        return UUID(job)
    except ValueError:
        raise ODataError(404, NO_JOB, f"there is no order {job[:60]!r}: its id is a UUID") from None


User = Annotated[Identity, Depends(_user)]
Placed = Annotated[Orders, Depends(_orders)]
Id = Annotated[UUID, Depends(_identifier)]
Offered = Annotated[Processes, Depends(_processes)]
Known = Annotated[Addresses, Depends(_addresses)]

router = APIRouter(prefix=ROOT, dependencies=[Depends(_user)])


@router.get("")
@router.get("/")
def landing(addresses: Known) -> dict[str, Any]:
    """Return the landing page."""
    links = (
        ("", "self", "This page", JSON),
        ("/api", "service-desc", "The API (OpenAPI)", "application/vnd.oai.openapi+json;version=3.1"),
        ("/conformance", "http://www.opengis.net/def/rel/ogc/1.0/conformance", "Conformance classes", JSON),
        ("/processes", "http://www.opengis.net/def/rel/ogc/1.0/processes", "Processes", JSON),
        ("/jobs", "http://www.opengis.net/def/rel/ogc/1.0/job-list", "Your orders", JSON),
    )
    return {
        "title": "On-demand production",
        "description": "Products of Sentinel-1, -2 and -3 made to order",
        "links": [
            {"href": addresses.root + path, "rel": rel, "title": title, "type": kind}
            for path, rel, title, kind in links
        ],
    }


@router.get("/api")
def api(request: Request) -> Response:
    """Return the description of this API (OpenAPI)."""
    return JSONResponse(request.app.openapi(), media_type="application/vnd.oai.openapi+json;version=3.1")


@router.get("/conformance")
def conformance() -> dict[str, list[str]]:
    """Return the conformance classes."""
    return {"conformsTo": [CONFORMANCE + name for name in CLASSES]}


@router.get("/processes")
def list_processes(
    offered: Offered, addresses: Known, limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT
) -> dict[str, Any]:
    """Return the processes that can be ordered."""
    shown = [processes.summary(place, addresses.root) for place in offered.all()[:limit]]
    return {"processes": shown, "links": [_self(f"{addresses.root}/processes")]}


@router.get("/processes/{process}")
def read_process(process: str, offered: Offered, placed: Placed, addresses: Known) -> dict[str, Any]:
    """Return one process with its inputs and outputs."""
    return processes.description(offered.named(process), addresses.root, placed.quotas.jobs_per_order)


@router.post("/processes/{process}/execution", status_code=201, openapi_extra={"requestBody": BODY})
def order(  # noqa: PLR0917  # parts of the request
    process: str,
    offered: Offered,
    placed: Placed,
    addresses: Known,
    user: User,
    asked: Annotated[Execute, Depends(body(Execute))],
    prefer: Annotated[str | None, Header()] = None,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Response:
    """Order products; the signing secret of a subscriber is shown in this answer only."""
    request, secret = placed.place(offered.named(process), asked, user.name, read_key(idempotency_key))
    with placed.entities.transaction() as connection:
        info = status_info(placed.find(connection, request, user), addresses)
    headers = {"Location": f"{addresses.root}/jobs/{request}"}
    if "respond-async" in [each.strip().lower() for each in (prefer or "").split(",")]:
        headers["Preference-Applied"] = "respond-async"
    return JSONResponse(info | ({"subscriberSecret": secret} if secret else {}), 201, headers)


@router.get("/jobs")
def list_jobs(  # noqa: PLR0917  # query options
    placed: Placed,
    addresses: Known,
    user: User,
    process_id: Annotated[str | None, Query(alias="processID", max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_LIMIT)] = PAGE,
    offset: Annotated[int, Query(ge=0, le=SKIP_LIMIT)] = 0,
) -> dict[str, Any]:
    """Return a page of the caller's orders, for operators of all; the newest first."""
    rows = placed.page(user, process_id, offset, limit)
    links = [_self(f"{addresses.root}/jobs")]
    if len(rows) > limit:
        more = f"{addresses.root}/jobs?limit={limit}&offset={offset + limit}"
        links.append({"href": more + (f"&processID={process_id}" if process_id else ""), "rel": "next", "type": JSON})
    return {"jobs": [status_info(row, addresses) for row in rows[:limit]], "links": links}


@router.get("/jobs/{job}")
def read_job(job: Id, placed: Placed, addresses: Known, user: User) -> dict[str, Any]:
    """Return how far an order is, with its production jobs (`jobs`)."""
    with placed.entities.transaction() as connection:
        row = placed.find(connection, job, user)
        return status_info(row, addresses) | {"jobs": documents.job_list(connection, row["id"], addresses)}


@router.delete("/jobs/{job}")
def dismiss(job: Id, placed: Placed, addresses: Known, user: User) -> dict[str, Any]:
    """Dismiss an order: what has not ended of it is ended, what was made stays."""
    return status_info(placed.dismiss(job, user), addresses)


@router.get("/jobs/{job}/results")
def read_results(job: Id, placed: Placed, addresses: Known, user: User) -> Mapping[str, Any]:
    """Return links to the products that were made."""
    with placed.entities.transaction() as connection:
        row = placed.find(connection, job, user)
        found = standing(row)
        if found.status in OPEN:
            raise ODataError(
                404, NOT_READY, f"order {row['id']} is {found.status} ({found.progress} %): ask again later"
            )
        if found.status is not Status.SUCCESSFUL:
            more = "its own address tells what was made all the same"
            raise ODataError(409, "OrderFailed", f"order {row['id']} is {found.status}, {found.message}; {more}")
        return documents.results(documents.job_list(connection, row["id"], addresses))


def _self(href: str) -> dict[str, str]:
    return {"href": href, "rel": "self", "type": JSON}
