"""Deleting a product everywhere: unpublished first, then out of the catalogue, then out of the object store.

The order is written down before anything is done and closed when all is done; what is left open, because the process
or the object store went away, is taken up again until it is done. Each step may come twice.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, RowMapping, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.catalogue.tables import Product
from refsys.services.common import logs
from refsys.services.common.families import BUCKETS, QUICKLOOKS, ZIP
from refsys.services.common.messages import Direction
from refsys.services.common.store import ObjectStore, StoreUnavailableError
from refsys.services.compression.rules import rule_of
from refsys.services.distribution.deletion import delete_product
from refsys.services.distribution.model import product as published
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.search.database import RETRY_SECONDS, transaction
from refsys.services.search.tables import deletion

RESUMED = 100  # orders taken up at a time
CAUSE = "Deleted by an operator"

log = logs.get_logger()


@dataclass(frozen=True)
class Order:
    """An order to delete a product; `done` is None while it is open."""

    id: UUID
    name: str
    family: str
    bucket: str
    key: str
    requested_by: str
    requested: datetime
    done: datetime | None

    def objects(self) -> list[tuple[str, str]]:
        """Bucket and key of the product, and of the archive that users get instead of it."""
        rule = rule_of(self.family, self.name)
        if rule is None or rule.direction is not Direction.COMPRESS:
            return [(self.bucket, self.key)]
        return [(self.bucket, self.key), (BUCKETS[self.family + ZIP], rule.output_key(self.key))]


@dataclass(frozen=True)
class Deletions:
    """Takes and carries out orders; threads and processes may share them."""

    engine: Engine
    store: ObjectStore

    def delete(self, name: str, family: str, user: str) -> Order:
        """Delete a product of a family; a product deleted before has its order returned.

        Raises:
            ODataError: 404 if there is no such product, 503 if something does not answer; the order stays then.
        """
        order = self._order(name, family, user)
        if order.done is None:
            try:
                self._carry_out(order)
            except (ODataError, StoreUnavailableError) as error:
                log.warning("deletion is not complete", product=name, order=str(order.id), error=str(error))
                raise ODataError(
                    503,
                    "DeletionOpen",
                    f"the deletion of {name} is ordered as {order.id} but not complete: {error}; "
                    "it is completed as soon as that answers, asking again tells whether it is",
                    {"Retry-After": RETRY_SECONDS},
                ) from error
        return self._reread(order.id)

    def resume(self) -> int:
        """Carry out the oldest open orders; returns how many. One that can't be does not stop the others."""
        statement = select(deletion).where(deletion.c.done.is_(None)).order_by(deletion.c.requested).limit(RESUMED)
        with transaction(self.engine) as connection:
            rows = connection.execute(statement).mappings().all()
        done = 0
        for row in rows:
            try:
                self._carry_out(Order(**row))
                done += 1
            except (ODataError, StoreUnavailableError) as error:
                log.warning("deletion is not complete", product=row["name"], order=str(row["id"]), error=str(error))
        return done

    def _order(self, name: str, family: str, user: str) -> Order:
        with transaction(self.engine) as connection:
            found = connection.execute(
                select(Product.bucket, Product.key).where(Product.name == name, Product.family == family)
            ).one_or_none()
            if found is not None:
                connection.execute(
                    insert(deletion)
                    .values(id=uuid4(), name=name, family=family, bucket=found.bucket, key=found.key, requested_by=user)
                    .on_conflict_do_nothing(index_elements=["name"], index_where=deletion.c.done.is_(None))
                )
            row = _newest(connection, name, family)
        if row is None:
            raise ODataError(404, "NotFound", f"no product named {name!r} of family {family} is catalogued")
        return Order(**row)

    def _carry_out(self, order: Order) -> None:
        with logs.task(
            "DataLifecycleWorker", chain="METADATA-SEARCH", mission=order.name[:2], filename=order.name
        ) as task:
            with transaction(self.engine) as connection:
                names = [key for _, key in order.objects()]
                found = connection.execute(select(published.c.id).where(published.c.name.in_(names))).scalars().all()
                for product_id in found:
                    delete_product(connection, product_id, CAUSE)
            with transaction(self.engine) as connection:
                connection.execute(
                    delete(Product).where(Product.name == order.name, Product.created <= order.requested)
                )
            if not self._delivered_again(order):
                for bucket, key in order.objects():
                    self.store.delete(bucket, key)
                    self.store.delete_folder(bucket, key)
                self.store.delete_folder(QUICKLOOKS, order.name)
            with transaction(self.engine) as connection:
                connection.execute(update(deletion).where(deletion.c.id == order.id).values(done=func.now()))
            task.output = {"deleted_by": order.requested_by}

    def _delivered_again(self, order: Order) -> bool:
        """Whether the product was catalogued anew since, so that the object is not the one to delete."""
        with transaction(self.engine) as connection:
            return connection.execute(select(Product.id).where(Product.name == order.name)).first() is not None

    def _reread(self, order_id: UUID) -> Order:
        with transaction(self.engine) as connection:
            row = connection.execute(select(deletion).where(deletion.c.id == order_id)).mappings().one()
        return Order(**row)


def _newest(connection: Connection, name: str, family: str) -> RowMapping | None:
    statement = select(deletion).where(deletion.c.name == name, deletion.c.family == family)
    found: Any = connection.execute(statement.order_by(deletion.c.requested.desc()).limit(1)).mappings().first()
    row: RowMapping | None = found
    return row
