"""From what was ordered to the jobs that are made of it: one for each product, session or data take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, select, tuple_

from refsys.services.catalogue.service import catalog_event
from refsys.services.catalogue.tables import Product
from refsys.services.common.messages import CatalogEvent
from refsys.services.common.names import InvalidNameError
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.ondemand.inputs import Selection
from refsys.services.ondemand.problems import wrong_input
from refsys.services.preparation.facts import Facts, facts_of, name_of
from refsys.services.preparation.preparation import new_job, trigger_of
from refsys.services.production.chains import ByProduct, triggering
from refsys.services.production.shelf import Place
from refsys.services.production.states import LOWEST_PRIORITY
from refsys.services.search.selection import IS_VALID, Condition, intersecting

ROWS = 2000
"""Products that are looked at for one order: a session or a data take has many."""


@dataclass(frozen=True)
class Planned:
    """A job to be made: `trigger` is the product, session or data take."""

    trigger: str
    event: CatalogEvent
    facts: Facts


@dataclass(frozen=True)
class Ordered:
    """The order that jobs are made for."""

    request: UUID
    owner: str
    moment: datetime


def plan(connection: Connection, place: Place, selection: Selection, most: int) -> list[Planned]:
    """Find what was ordered in the catalogue.

    Raises:
        ODataError: 400 if there is nothing, something that was named is not there or does not fit, or it is too much.
    """
    statement = select(Product.__table__).where(*conditions(place, selection))
    rows = connection.execute(statement.order_by(Product.content_start, Product.name).limit(ROWS + 1)).mappings().all()
    return planned(place, selection, rows, most)


def planned(place: Place, selection: Selection, rows: Sequence[RowMapping], most: int) -> list[Planned]:
    """The jobs of products that were found; errors as `plan`."""
    if missing := [name for name in selection.names if name not in {row["name"] for row in rows}]:
        kinds = ", ".join(sorted(f"{family}/{kind}" for family, kind in triggering(place.table.trigger)))
        raise wrong_input(
            "products",
            f"{missing[0]} is not in the catalogue, or nothing that the process takes or the order includes; "
            f"it takes {kinds} of {place.chain.mission}",
        )
    found: dict[str, Planned] = {}
    for each in _jobs(place, rows):
        found.setdefault(each.trigger, each)
    if not found:
        raise ODataError(400, "NothingFound", "no product in the catalogue is as ordered: choose a longer time or area")
    if len(found) > most or len(rows) > ROWS:
        raise ODataError(
            400,
            "TooMuch",
            f"this would be over {most} jobs, the most in one order: choose a shorter time or smaller area",
        )
    return list(found.values())


def conditions(place: Place, selection: Selection) -> Iterator[Condition]:
    """What products of the catalogue are ordered."""
    trigger = place.table.trigger
    yield IS_VALID
    yield Product.mission == place.chain.mission
    yield Product.satellite != place.chain.mission  # of these it is not known which one
    yield tuple_(Product.family, Product.product_type).in_(sorted(triggering(trigger)))
    if isinstance(trigger, ByProduct) and trigger.timeliness:
        yield Product.timeliness.in_(trigger.timeliness)
    if selection.names:
        yield Product.name.in_(selection.names)
    if selection.period:
        yield intersecting(*selection.period)
    yield from selection.areas


def row_of(place: Place, job: Planned, selection: Selection, ordered: Ordered) -> dict[str, Any]:
    """The row of a job: as of one that an event makes, but of its order alone, and after all others."""
    facts = job.facts.model_copy(update={"ordered": ordered.moment, "parameters": dict(selection.parameters)})
    reason = f"ordered by {ordered.owner}, its inputs are looked for"
    row = new_job(place, job.event, facts, f"{job.trigger}, ordered as {ordered.request}", reason)
    return row | {"priority": LOWEST_PRIORITY, "request_id": ordered.request}


def _jobs(place: Place, rows: Sequence[RowMapping]) -> Iterator[Planned]:
    for row in rows:
        event = catalog_event(row)
        try:
            facts = facts_of(event, name_of(event))
        except InvalidNameError:
            continue
        if trigger := trigger_of(place.table, facts):
            yield Planned(trigger, event, facts)
