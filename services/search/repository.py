"""What the search reads from the catalogue."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, Select, func, select

from refsys.services.catalogue.tables import Product
from refsys.services.common.families import Family
from refsys.services.search.database import transaction
from refsys.services.search.policies import MANY, Policy
from refsys.services.search.selection import IS_INVALID, IS_VALID, TABLE, Condition, intersecting, selected

SESSIONS = (Family.EDRS_SESSION, Family.SESSION_RETRANSFER)
Rows = Sequence[RowMapping]


class Catalogued:
    """The catalogued products. Safe for use by several threads."""

    def __init__(self, engine: Engine) -> None:
        """Read with `engine`."""
        self._engine = engine

    def named(self, name: str, family: str | None = None) -> RowMapping | None:
        """The valid product of a name, None if there is none."""
        statement = select(TABLE).where(Product.name == name, IS_VALID)
        rows = self._rows(statement if family is None else statement.where(Product.family == family))
        return rows[0] if rows else None

    def session(self, session_id: str, top: int, skip: int) -> Rows:
        """The files of a downlink session, by name."""
        conditions = (Product.session_id == session_id, Product.family.in_(SESSIONS), IS_VALID)
        return self._page(select(TABLE).where(*conditions).order_by(Product.name), top, skip)

    def acns(self, level0_slice: RowMapping) -> Rows:
        """The annotations, calibration and noise products of a slice: same satellite, mode and data take."""
        mode = str(level0_slice["product_type"])[:2]
        conditions = (
            Product.datatake_id == level0_slice["datatake_id"],
            Product.satellite == level0_slice["satellite"],
            Product.product_type.in_([f"{mode}_RAW__0{kind}" for kind in "ACN"]),
            IS_VALID,
        )
        return self._rows(
            select(TABLE).where(*conditions).order_by(Product.product_type, Product.content_start, Product.name)
        )

    def segments(self, datatake: int, satellite: str | None) -> Rows:
        """The level 0 segments of a data take, by start."""
        conditions = [
            Product.datatake_id == datatake,
            Product.family == Family.L0_SEGMENT,
            IS_VALID,
            *of_satellite(satellite),
        ]
        return self._rows(select(TABLE).where(*conditions).order_by(Product.content_start, Product.name))

    def selected(
        self, policy: Policy, period: tuple[datetime, datetime], conditions: Sequence[Condition], top: int
    ) -> Rows:
        """Products chosen for a period; a policy that chooses one finds one or none."""
        return self._rows(selected(policy, *period, conditions).limit(top if policy in MANY else 1))

    def valid_in(self, period: tuple[datetime, datetime], conditions: Sequence[Condition], top: int, skip: int) -> Rows:
        """Products valid in some of a period, by start."""
        statement = select(TABLE).where(intersecting(*period), *conditions)
        return self._page(statement.order_by(Product.content_start, Product.name), top, skip)

    def matching(self, conditions: Sequence[Condition], top: int, skip: int) -> Rows:
        """Valid products that meet conditions, in the order they were catalogued."""
        statement = select(TABLE).where(IS_VALID, *conditions)
        return self._page(statement.order_by(Product.created, Product.name), top, skip)

    def invalid(self, conditions: Sequence[Condition], top: int, skip: int) -> tuple[int, Rows]:
        """How many products could not be understood, and a page of them, oldest first."""
        where = (IS_INVALID, *conditions)
        with transaction(self._engine) as connection:
            count = connection.execute(select(func.count()).select_from(Product).where(*where)).scalar_one()
        statement = select(TABLE).where(*where).order_by(Product.created, Product.name)
        return count, self._page(statement, top, skip)

    def check(self) -> None:
        """Raise an `ODataError` if the database does not answer."""
        self._rows(select(1))

    def _page(self, statement: Select[Any], top: int, skip: int) -> Rows:
        return self._rows(statement.limit(top).offset(skip))

    def _rows(self, statement: Select[Any]) -> Rows:
        with transaction(self._engine) as connection:
            return connection.execute(statement).mappings().all()


def of_satellite(satellite: str | None) -> list[Condition]:
    """Products of a satellite, and those that serve all satellites of its mission."""
    if satellite is None:
        return []
    return [Product.satellite.in_((satellite, satellite[:2]))]
