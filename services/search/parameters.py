"""Parameters that the search's addresses share."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Path, Query

from refsys.services.catalogue.tables import Product
from refsys.services.common.families import Family
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.search.repository import of_satellite
from refsys.services.search.selection import Condition

PAGE, PAGE_LIMIT = 100, 1000
SKIP_LIMIT = 1_000_000
MARGIN_LIMIT = 366 * 24 * 3600

Period = tuple[datetime, datetime]
Text = Annotated[str, Query(min_length=1, max_length=255)]
Type = Annotated[str, Path(pattern=r"^[A-Z0-9_]{3,20}$")]
TypeParameter = Annotated[str | None, Query(alias="productType", pattern=r"^[A-Z0-9_]{3,20}$")]
Satellite = Annotated[str | None, Query(pattern=r"^S[123][A-D]?$")]
Timeliness = Annotated[str | None, Query(pattern=r"^[A-Z0-9]{2,10}$")]
Top = Annotated[int, Query(ge=1, le=PAGE_LIMIT)]
Skip = Annotated[int, Query(ge=0, le=SKIP_LIMIT)]
Orbit = Annotated[int, Query(ge=0, le=10_000_000)]
Seconds = Annotated[float, Query(ge=0, le=MARGIN_LIMIT)]


def known_family(family: Annotated[str, Path(max_length=40)]) -> Family:
    """The family of an address; 404 for another word."""
    try:
        return Family(family.upper())
    except ValueError as error:
        raise ODataError(404, "NotFound", f"there is no product family {family!r}") from error


def period(start: datetime, stop: datetime, before: Seconds = 0, after: Seconds = 0) -> Period:
    """The period from `start` - `before` to `stop` + `after` seconds; times without zone are UTC."""
    first, last = _utc(start), _utc(stop)
    if last < first:
        raise ODataError(400, "InvalidParameter", "stop lies before start")
    try:
        return first - timedelta(seconds=before), last + timedelta(seconds=after)
    except OverflowError as error:
        raise ODataError(400, "InvalidParameter", "start and stop with their margins leave the calendar") from error


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ODataError(400, "InvalidParameter", "a time leaves the calendar") from error


def common_filter(
    product_type: TypeParameter = None, satellite: Satellite = None, timeliness: Timeliness = None
) -> list[Condition]:
    """Conditions on type, satellite (or all of its mission) and timeliness."""
    conditions = of_satellite(satellite)
    if product_type:
        conditions.append(Product.product_type == product_type)
    if timeliness:
        conditions.append(Product.timeliness == timeliness)
    return conditions


FamilyOf = Annotated[Family, Depends(known_family)]
PeriodOf = Annotated[Period, Depends(period)]
Common = Annotated[list[Condition], Depends(common_filter)]
