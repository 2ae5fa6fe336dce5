"""Invalidations: an operator says why products are late or missing, and whose fault it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Table, delete, func, insert, literal_column, select

from refsys.services.kpi.tables import (
    external_input,
    invalidation,
    invalidation_completeness,
    invalidation_timeliness,
    missing_products,
    product,
)

Row = dict[str, Any]


class UnknownError(Exception):
    """There is no such invalidation, or nothing that it is to be for."""


@dataclass(frozen=True)
class Invalidation:
    """Why, and for what: late products, missing products or files."""

    responsibility: str
    root_cause: str
    anomaly_identifier: str
    label: str
    timeliness: Sequence[UUID]
    completeness: Sequence[UUID]


def add(engine: Engine, asked: Invalidation, operator: str) -> int:
    """Write an invalidation down; returns its number.

    Raises:
        UnknownError: a product is not late, or nothing that is missing has the id.
    """
    with engine.begin() as connection:
        late = select(product.c.id).where(product.c.id.in_(asked.timeliness), product.c.late)
        _check(asked.timeliness, set(connection.execute(late).scalars()), "is no late product")
        known: set[UUID] = set()
        for table in (external_input, missing_products):
            known |= set(connection.execute(select(table.c.id).where(table.c.id.in_(asked.completeness))).scalars())
        _check(asked.completeness, known, "is neither a missing product nor a file of a station")
        values = {
            "responsibility": asked.responsibility,
            "root_cause": asked.root_cause,
            "anomaly_identifier": asked.anomaly_identifier,
            "label": asked.label,
            "operator_name": operator,
        }
        number: int = connection.execute(insert(invalidation).values(values).returning(invalidation.c.id)).scalar_one()
        _attach(connection, invalidation_timeliness, number, "product_id", asked.timeliness)
        _attach(connection, invalidation_completeness, number, "missing_id", asked.completeness)
        return number


def remove(engine: Engine, number: int) -> None:
    """Take an invalidation back.

    Raises:
        UnknownError: there is none of this number.
    """
    with engine.begin() as connection:
        if connection.execute(delete(invalidation).where(invalidation.c.id == number)).rowcount == 0:
            raise UnknownError(f"there is no invalidation {number}")


def search(engine: Engine, page: int, size: int) -> list[Row]:
    """One page of invalidations, the latest first, with what each is for."""
    statement = select(
        invalidation,
        _of(invalidation_timeliness, "product_id").label("timeliness"),
        _of(invalidation_completeness, "missing_id").label("completeness"),
    )
    with engine.connect() as connection:
        latest = statement.order_by(invalidation.c.id.desc()).offset(page * size).limit(size)
        return [dict(row) for row in connection.execute(latest).mappings()]


def _of(table: Table, column: str) -> Any:
    ids = func.coalesce(func.array_agg(table.c[column]), literal_column("'{}'::uuid[]"))
    return select(ids).where(table.c.parent_id == invalidation.c.id).scalar_subquery()


def _check(asked: Sequence[UUID], known: set[UUID], reason: str) -> None:
    for each in asked:
        if each not in known:
            raise UnknownError(f"{each} {reason}")


def _attach(connection: Connection, table: Table, number: int, column: str, ids: Sequence[UUID]) -> None:
    if ids:
        connection.execute(insert(table), [{"parent_id": number, column: each} for each in sorted(set(ids))])
