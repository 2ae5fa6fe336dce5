"""Operators' endpoints of the lifecycle, under `/operations/v1/lifecycle`."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel, to_pascal
from sqlalchemy import Engine, RowMapping

from refsys.services.lifecycle import actions
from refsys.services.lifecycle.tables import Storage
from refsys.services.operations.answers import (
    PAGE_LIMIT,
    Moment,
    Page,
    ProductName,
    Size,
    engine_of,
    operator_of,
    shown,
)

router = APIRouter(prefix="/operations/v1/lifecycle")
Database = Annotated[Engine, Depends(engine_of)]
TIMES = ("eviction_date_in_", "last_")


class Asked(BaseModel):
    """The products that an action is for, and of their storages those it is for."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    product_names: list[ProductName] = Field(min_length=1, max_length=PAGE_LIMIT)
    storages: list[Storage] = Field(default_factory=lambda: list(Storage), min_length=1)


class Prolongation(Asked):
    """With another eviction date, null for never."""

    eviction_date: Moment | None


class Persistence(Asked):
    """With whether the products are kept whatever their eviction date says."""

    persistent: bool


def selection(
    name: Annotated[str | None, Query(max_length=255)] = None,
    family: Annotated[str | None, Query(max_length=64)] = None,
    evicted_before: Annotated[Moment | None, Query(alias="evictedBefore")] = None,
    persistent: bool | None = None,
) -> actions.Selection:
    """Return the conditions of a query."""
    return actions.Selection(name, family, evicted_before, persistent)


Selected = Annotated[actions.Selection, Depends(selection)]


@router.get("/products")
def products(database: Database, selected: Selected, page: Page = 0, size: Size = 100) -> list[dict[str, Any]]:
    """Return one page of products, by name."""
    return [_document(row) for row in actions.search(database, selected, page, size)]


@router.get("/products/count")
def count(database: Database, selected: Selected) -> int:
    """Return how many products there are."""
    return actions.count(database, selected)


@router.get("/evictions")
def evictions(
    database: Database, state: Literal["open", "done"] = "open", page: Page = 0, size: Size = 100
) -> list[dict[str, Any]]:
    """Return one page of evictions: how far each got, and why one does not go on."""
    rows = actions.evictions(database, page, size, finished=state == "done")
    times = {"requested", "retry_at", "finished"}
    return [{to_pascal(name): shown(value) if name in times else value for name, value in row.items()} for row in rows]


@router.post("/prolong")
def prolong(asked: Prolongation, database: Database) -> dict[str, Any]:
    """Set another eviction date, which the PRIP then shows."""
    return _each(asked, lambda name: actions.prolong(database, name, asked.storages, asked.eviction_date))


@router.post("/persist")
def persist(asked: Persistence, database: Database) -> dict[str, Any]:
    """Keep products whatever their eviction date says, or no longer."""
    return _each(
        asked, lambda name: actions.set_persistent(database, name, asked.storages, persistent=asked.persistent)
    )


@router.post("/evict")
def evict(asked: Asked, database: Database, request: Request) -> dict[str, Any]:
    """Request the eviction of products now."""
    operator = operator_of(request)
    return _each(asked, lambda name: actions.evict_now(database, name, asked.storages, operator))


def _each(asked: Asked, act: Callable[[str], None]) -> dict[str, Any]:
    """Act on each product by itself; the answer says of each what became of it."""
    results = []
    for name in asked.product_names:
        try:
            act(name)
        except actions.RefusedError as error:
            results.append({"productName": name, "done": False, "reason": str(error)})
        else:
            results.append({"productName": name, "done": True})
    return {"results": results}


def _document(row: RowMapping) -> dict[str, Any]:
    """The document of a product, with the field names of the interface description."""
    return {
        to_pascal(name): shown(value) if name.startswith(TIMES) else value
        for name, value in row.items()
        if name != "prip_pending"
    }
