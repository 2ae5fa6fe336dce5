"""The operators' addresses for products that could not be understood: list them, try them again."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from refsys.services.catalogue.tables import Product
from refsys.services.distribution.auth import OPERATOR, require
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.search.api import Products
from refsys.services.search.parameters import PAGE, PAGE_LIMIT, Skip, Top, known_family
from refsys.services.search.retry import send_again
from refsys.services.search.selection import Condition
from refsys.services.search.serialise import invalid_json

operations = APIRouter(prefix="/operations/v1/invalid", dependencies=[Depends(require(OPERATOR))])
Mission = Annotated[str | None, Query(pattern=r"^[A-Z0-9]{1,10}$")]


class Names(BaseModel):
    """The products to try again, by name."""

    product_names: list[Annotated[str, Field(max_length=1024)]] = Field(
        alias="productNames", min_length=1, max_length=PAGE_LIMIT
    )


@operations.get("")
def list_invalid(
    products: Products,
    family: Annotated[str | None, Query(max_length=40)] = None,
    mission: Mission = None,
    top: Top = PAGE,
    skip: Skip = 0,
) -> dict[str, Any]:
    """Return the products that could not be understood, oldest first, and how many there are."""
    conditions: list[Condition] = [Product.family == known_family(family)] if family else []
    if mission:
        conditions.append(Product.mission == mission)
    count, rows = products.invalid(conditions, top, skip)
    return {"count": count, "value": [invalid_json(row) for row in rows]}


@operations.post("/retry", status_code=202)
async def retry_many(names: Names, request: Request, products: Products) -> dict[str, Any]:
    """Try products again; the answer tells which were sent to the catalogue, and which are not INVALID."""
    return await run_in_threadpool(_retry, request, products, names.product_names)


@operations.post("/{name}/retry", status_code=202)
def retry_one(name: Annotated[str, Path(max_length=255)], request: Request, products: Products) -> dict[str, Any]:
    """Try one product again; 404 if none of this name is INVALID."""
    answer = _retry(request, products, [name])
    if not answer["retried"]:
        raise ODataError(404, "NotFound", f"no product named {name!r} is INVALID")
    return answer


def _retry(request: Request, products: Any, names: list[str]) -> dict[str, Any]:
    wanted = [name for name in dict.fromkeys(names) if "\x00" not in name]
    _, rows = products.invalid([Product.name.in_(wanted)], PAGE_LIMIT, 0)
    send_again(request.app.state.producer, rows)
    sent = [row["name"] for row in rows]
    return {"retried": sent, "notInvalid": [name for name in dict.fromkeys(names) if name not in set(sent)]}
