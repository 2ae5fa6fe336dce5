"""A job of a chain for a product that somebody names, and that no event made or will make."""

from uuid import UUID

from sqlalchemy import Connection, Engine, select

from refsys.services.catalogue.service import catalog_event
from refsys.services.catalogue.tables import VALID, Product
from refsys.services.common.names import InvalidNameError
from refsys.services.jobs.errors import RefusedError
from refsys.services.preparation import ledger
from refsys.services.preparation.chains import added, together
from refsys.services.preparation.facts import facts_of, name_of
from refsys.services.preparation.preparation import new_job, trigger_of
from refsys.services.production.chains import triggering
from refsys.services.production.shelf import Place, Shelf


def trigger(engine: Engine, chain: str, table: str, product: str, operator: str) -> UUID:
    """Make the job that a catalogued product makes of a task table; preparation looks for its inputs.

    Raises:
        RefusedError: there is no such table or product, they don't fit, or the job is there already.
    """
    with engine.connect() as connection:
        place = _place(connection, chain, table)
        row = connection.execute(select(Product.__table__).where(Product.name == product)).mappings().one_or_none()
    if row is None or row["state"] != VALID:
        raise RefusedError(f"product {product} is not in the catalogue, or not valid")
    event = catalog_event(row)
    try:
        name = name_of(event)
    except InvalidNameError as error:
        raise RefusedError(f"product {product}: {error}") from None
    causes = triggering(place.table.trigger)
    if event.mission_id != place.chain.mission or (event.product_family, name.product_type) not in causes:
        wanted = ", ".join(sorted(f"{family}/{kind}" for family, kind in causes))
        raise RefusedError(
            f"task table {chain}/{table} is for {wanted} of {place.chain.mission}, "
            f"and {product} is a {event.product_family}/{name.product_type} of {event.mission_id}"
        )
    facts = facts_of(event, name)
    what = trigger_of(place.table, facts)
    if not what:
        raise RefusedError(f"product {product} tells no session or data take, by which the table makes jobs")
    values = new_job(place, event, facts, what, f"is made for {operator}, its inputs are looked for")
    job: UUID = values["id"]
    with engine.begin() as connection:
        if not ledger.add(connection, values, []):
            raise RefusedError(f"this job is there already: {job}; ./refsys job control restart {job} begins it anew")
        ledger.notify(connection)
    return job


def _place(connection: Connection, chain: str, table: str) -> Place:
    chains, _ = together(added(connection))
    place = Shelf(chains).find(chain, table)
    if place is None:
        known = [each.name for each in chains[chain].task_tables] if chain in chains else []
        more = f"its task tables are {', '.join(known)}" if known else f"chains are {', '.join(sorted(chains))}"
        raise RefusedError(f"there is no task table {table} in chain {chain}; {more}")
    return place
