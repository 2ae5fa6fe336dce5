"""The addresses of the metadata search (reference system, service facts: Metadata, Search REST)."""

import math
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from refsys.services.catalogue.tables import Product
from refsys.services.common.families import Family
from refsys.services.common.messages import iso
from refsys.services.distribution.auth import OPERATOR, Identity, require
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.search.deletion import Deletions
from refsys.services.search.parameters import (
    PAGE,
    Common,
    FamilyOf,
    Orbit,
    PeriodOf,
    Satellite,
    Skip,
    Text,
    Timeliness,
    Top,
    Type,
)
from refsys.services.search.policies import Policy
from refsys.services.search.repository import Catalogued, Rows, of_satellite
from refsys.services.search.selection import Condition
from refsys.services.search.serialise import product_json

search = APIRouter(dependencies=[Depends(require(OPERATOR))])
Body = dict[str, Any]


def catalogued(request: Request) -> Catalogued:
    """The catalogued products."""
    found: Catalogued = request.app.state.catalogued
    return found


Products = Annotated[Catalogued, Depends(catalogued)]
Name = Annotated[str, Path(max_length=255)]
Attribute = Annotated[list[str] | None, Query(description="name:value", max_length=10)]


@search.get("/edrsSession/sessionId/{session_id}")
def edrs_session(session_id: Name, products: Products, top: Top = PAGE, skip: Skip = 0) -> list[Body]:
    """Return the files of a downlink session: information blocks with their raw names, and raw data blocks."""
    return _many(products.session(session_id, top, skip))


@search.get("/l0Slice/{name}")
def level0_slice(name: Name, products: Products) -> Body:
    """Return a level 0 slice."""
    return product_json(_slice(products, name))


@search.get("/l0Slice/{name}/acns")
def level0_slice_acns(name: Name, products: Products) -> list[Body]:
    """Return the annotations, calibration and noise products that go with a level 0 slice."""
    row = _slice(products, name)
    return _many(products.acns(row)) if row["datatake_id"] is not None else []


@search.get("/level_segment/{data_take_id}")
def level_segment(
    data_take_id: Annotated[str, Path(pattern=r"^(\d{1,18}|0x[0-9A-Fa-f]{1,8})$")],
    products: Products,
    satellite: Satellite = None,
) -> list[Body]:
    """Return the level 0 segments of a mission data take; as in names with `0x` before it."""
    number = int(data_take_id, 16) if data_take_id.startswith("0x") else int(data_take_id)
    return _many(products.segments(number, satellite))


@search.get("/metadata/{family}/query")
def query(
    *,
    family: FamilyOf,
    products: Products,
    common: Common,
    attribute: Attribute = None,
    top: Top = PAGE,
    skip: Skip = 0,
) -> list[Body]:
    """Return products of a family by type, satellite, timeliness and attributes, in the order of cataloguing."""
    conditions = [Product.family == family, *common, *(_attribute(each) for each in attribute or ())]
    return _many(products.matching(conditions, top, skip))


@search.get("/metadata/{family}/search")
def select_for_period(
    *,
    family: FamilyOf,
    products: Products,
    period: PeriodOf,
    common: Common,
    mode: Policy = Policy.LATEST_COVER,
    attribute: Attribute = None,
    top: Top = PAGE,
) -> list[Body]:
    """Return the products of a family that a selection policy chooses for a period."""
    conditions = [Product.family == family, *common, *(_attribute(each) for each in attribute or ())]
    return _many(products.selected(mode, period, conditions, top))


@search.get("/metadata/{family}/searchInterval")
def search_interval(
    *, family: FamilyOf, products: Products, period: PeriodOf, common: Common, top: Top = PAGE, skip: Skip = 0
) -> list[Body]:
    """Return products of a family that were catalogued in a period."""
    conditions = [Product.family == family, Product.created.between(*period), *common]
    return _many(products.matching(conditions, top, skip))


@search.get("/metadata/{family}/searchTypeInterval")
def search_type_interval(
    *,
    family: FamilyOf,
    products: Products,
    period: PeriodOf,
    product_type: Annotated[str, Query(alias="productType", pattern=r"^[A-Z0-9_]{3,20}$")],
    satellite: Satellite = None,
    top: Top = PAGE,
    skip: Skip = 0,
) -> list[Body]:
    """Return products of a family and type whose validity meets a period, by start."""
    conditions = [Product.family == family, Product.product_type == product_type, *of_satellite(satellite)]
    return _many(products.valid_in(period, conditions, top, skip))


@search.get("/metadata/{family}/searchProductName")
def search_product_name(
    family: FamilyOf, products: Products, product_name: Annotated[Text, Query(alias="productName")]
) -> Body:
    """Return the product of a name."""
    row = products.named(product_name, family)
    if row is None:
        raise _missing(product_name, family)
    return product_json(row)


@search.delete("/metadata/{family}/deleteProduct")
def delete_product(
    *,
    family: FamilyOf,
    request: Request,
    user: Annotated[Identity, Depends(require(OPERATOR))],
    product_name: Annotated[Text, Query(alias="productName")],
) -> Body:
    """Delete a product: unpublish it, take it out of the catalogue, delete the object."""
    deletions: Deletions = request.app.state.deletions
    order = deletions.delete(product_name, family, user.name)
    return {
        "orderId": str(order.id),
        "productName": order.name,
        "requestedBy": order.requested_by,
        "requested": iso(order.requested),
        "done": iso(order.done) if order.done else None,
    }


@search.get("/{product_type}/searchAuxiliary")
def search_auxiliary(
    *,
    product_type: Type,
    products: Products,
    period: PeriodOf,
    satellite: Satellite = None,
    mode: Policy = Policy.LATEST_COVER,
    top: Top = PAGE,
) -> list[Body]:
    """Return the auxiliary files of a type that a selection policy chooses for a period."""
    conditions = [Product.product_type == product_type, *of_satellite(satellite)]
    return _many(products.selected(mode, period, conditions, top))


@search.get("/s3metadata/{product_type}/range")
def s3_range(
    *,
    product_type: Type,
    products: Products,
    period: PeriodOf,
    satellite: Satellite = None,
    timeliness: Timeliness = None,
    top: Top = PAGE,
    skip: Skip = 0,
) -> list[Body]:
    """Return Sentinel-3 products of a type whose validity meets a period, by start."""
    return _many(products.valid_in(period, _s3(product_type, satellite, timeliness), top, skip))


@search.get("/s3metadata/{product_type}/orbit")
def s3_orbit(
    *,
    product_type: Type,
    products: Products,
    orbit_number: Annotated[Orbit, Query(alias="orbitNumber")],
    satellite: Satellite = None,
    timeliness: Timeliness = None,
    top: Top = PAGE,
    skip: Skip = 0,
) -> list[Body]:
    """Return Sentinel-3 products of a type that were sensed in an absolute orbit."""
    orbit = (Product.orbit_start <= orbit_number, Product.orbit_end >= orbit_number)
    return _many(products.matching([*_s3(product_type, satellite, timeliness), *orbit], top, skip))


def _many(rows: Rows) -> list[Body]:
    return [product_json(row) for row in rows]


def _slice(products: Catalogued, name: str) -> Any:
    row = products.named(name, Family.L0_SLICE)
    if row is None:
        raise _missing(name, Family.L0_SLICE)
    return row


def _s3(product_type: str, satellite: str | None, timeliness: str | None) -> list[Condition]:
    conditions = [Product.mission == "S3", Product.product_type == product_type, *of_satellite(satellite)]
    return [*conditions, Product.timeliness == timeliness] if timeliness else conditions


def _attribute(written: str) -> Condition:
    """The condition `name:value` on an attribute; numbers and truth values as JSON writes them, all else is text."""
    name, colon, value = written.partition(":")
    if not colon or not name.isalnum() or len(written) > 300:
        raise ODataError(400, "InvalidParameter", f"attribute: {written[:60]!r} is not of the form name:value")
    texts = Product.attributes.contains([{"name": name, "value": value}])
    if value in ("true", "false"):
        return texts | Product.attributes.contains([{"name": name, "value": value == "true"}])
    try:
        number = float(value)
    except ValueError:
        return texts
    if not math.isfinite(number):
        return texts
    return texts | Product.attributes.contains([{"name": name, "value": number}])


def _missing(name: str, family: Family) -> ODataError:
    return ODataError(404, "NotFound", f"no valid product named {name!r} of family {family} is catalogued")
