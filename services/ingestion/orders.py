"""Orders of products that a long-term archive has offline: which order was made for which product."""

from datetime import datetime
from typing import Protocol

from sqlalchemy import DateTime, Engine, Text, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from refsys.services.common.database import Base


class Orders(Protocol):
    """A lasting place for order ids; threads and processes may share it."""

    def get(self, station: str, product_id: str) -> str | None:
        """The id of the order of a product; None if there is none."""
        ...

    def put(self, station: str, product_id: str, order_id: str | None) -> None:
        """Remember the order of a product, instead of the one before; None forgets it."""
        ...


class StationOrder(Base):
    """An order at a station that is of use still."""

    __tablename__ = "station_order"
    __table_args__ = ({"schema": "ingestion"},)

    station: Mapped[str] = mapped_column(Text, primary_key=True)
    product_id: Mapped[str] = mapped_column(Text, primary_key=True)
    order_id: Mapped[str] = mapped_column(Text)
    updated: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class DatabaseOrders:
    """Orders in PostgreSQL; each call is a transaction of its own, durable when it returns."""

    def __init__(self, engine: Engine) -> None:
        """Nothing is read yet."""
        self._engine = engine

    def get(self, station: str, product_id: str) -> str | None:
        """The id of the order of a product; None if there is none."""
        statement = select(StationOrder.order_id).where(
            StationOrder.station == station, StationOrder.product_id == product_id
        )
        with self._engine.connect() as connection:
            return connection.execute(statement).scalar_one_or_none()

    def put(self, station: str, product_id: str, order_id: str | None) -> None:
        """Remember the order of a product, instead of the one before; None forgets it."""
        with self._engine.begin() as connection:
            if order_id is None:
                connection.execute(
                    delete(StationOrder).where(StationOrder.station == station, StationOrder.product_id == product_id)
                )
                return
            values = {"order_id": order_id, "updated": func.now()}
            statement = insert(StationOrder).values(station=station, product_id=product_id, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["station", "product_id"], set_=values))
