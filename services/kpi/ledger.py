"""From facts to the tables: the same fact again changes nothing, whatever order facts come in."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine, Table, delete, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import distinct_on, insert

from refsys.services.kpi import tables
from refsys.services.kpi.facts import STEPS, Facts, Row
from refsys.services.kpi.tables import external_input, missing_products, processing, product

KEEP_TASKS = timedelta(days=62)  # the month before this one
KEEP_PRODUCTS = timedelta(days=400)
_LISTS = {table.name: table for table in (tables.input_list_external, tables.input_list_internal, tables.output_list)}
_ENDS = (
    *("end_date", "status", "error_code", "duration_seconds", "data_volume_mebibytes"),
    *("begin_date", "filename", "follows_from_task"),
)


def write(engine: Engine, facts: Facts) -> list[UUID]:
    """Write all in one transaction; returns the products that were not known."""
    with engine.begin() as connection:
        _merge(connection, processing, "uid", facts.tasks, _ENDS)
        _merge(connection, external_input, "id", facts.inputs, STEPS)
        rows = {key: published.row for key, published in facts.products.items()}
        new = _merge(connection, product, "id", rows, ("t0_pdgs_date",))
        _mark_duplicates(connection, {rows[key]["identity"] for key in new} - {None})
        _keep(connection, missing_products, list(facts.missing.values()))
        for name, pairs in facts.lists.items():
            _keep(connection, _LISTS[name], [{"processing_uid": uid, "filename": each} for uid, each in sorted(pairs)])
    return new


def forget_old(engine: Engine) -> int:
    """Remove what no report needs any more; returns how many tasks."""
    with engine.begin() as connection:
        told = func.coalesce(processing.c.begin_date, processing.c.end_date)
        old = select(processing.c.uid).where(told < func.now() - KEEP_TASKS)
        for table in _LISTS.values():
            connection.execute(delete(table).where(table.c.processing_uid.in_(old)))
        gone = connection.execute(delete(processing).where(processing.c.uid.in_(old))).rowcount
        for table, moment in (
            (external_input, external_input.c.pickup_point_seen_date),
            (product, product.c.prip_storage_date),
            (missing_products, missing_products.c.noticed_date),
        ):
            connection.execute(delete(table).where(moment < func.now() - KEEP_PRODUCTS))
    return gone


def _merge(
    connection: Connection, table: Table, key: str, rows: Mapping[UUID, Row], later: Sequence[str]
) -> list[UUID]:
    """Insert rows; of one that is there, fill in what `later` lines tell. Returns the keys that are new.

    In the order of the keys: two that write the same rows wait for each other, and never both.
    """
    if not rows:
        return []
    statement = insert(table)
    known = {name: func.coalesce(table.c[name], statement.excluded[name]) for name in later}
    merged = statement.on_conflict_do_update(index_elements=[table.c[key]], set_=known)
    told = merged.returning(table.c[key], literal_column("xmax = 0").label("is_new"))
    found = connection.execute(told, [rows[each] for each in sorted(rows)])
    return [row[0] for row in found if row.is_new]


def _keep(connection: Connection, table: Table, rows: list[Row]) -> None:
    if rows:
        connection.execute(insert(table).on_conflict_do_nothing(), rows)


def _mark_duplicates(connection: Connection, identities: set[str]) -> None:
    """Of products with the same identity, all but the first that was published are duplicates."""
    if not identities:
        return
    first = (
        select(product.c.identity, product.c.id)
        .where(product.c.identity.in_(identities))
        .order_by(product.c.identity, product.c.prip_storage_date, product.c.id)
        .ext(distinct_on(product.c.identity))
        .subquery()
    )
    is_other = product.c.id != first.c.id
    connection.execute(
        update(product)
        .where(product.c.identity == first.c.identity, product.c.duplicate != is_other)
        .values(duplicate=is_other)
    )
