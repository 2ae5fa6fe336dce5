"""Eviction: unpublish, remove from the catalogue, delete the object; in this order, each step once and durable.

Each step and the note that it was reached are one transaction, the deletion of the object is idempotent: after a
kill at any point the next round goes on where the note stands. The lock of the product's place is the one under
which ingestion stores it.
"""

import threading

from prometheus_client import Counter, Gauge
from sqlalchemy import Connection, Engine, RowMapping, delete, func, select, update

from refsys.services.catalogue.service import product_id
from refsys.services.catalogue.tables import Product
from refsys.services.common import logs
from refsys.services.common.bus import UNAVAILABLE
from refsys.services.common.database import exclusive
from refsys.services.common.families import QUICKLOOKS, place_of
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.deletion import delete_product
from refsys.services.distribution.model import product
from refsys.services.lifecycle import queue
from refsys.services.lifecycle.returned import complete_returned
from refsys.services.lifecycle.shown import show_pending
from refsys.services.lifecycle.tables import (
    DONE,
    POLICY,
    REQUESTED,
    UNCATALOGUED,
    UNPUBLISHED,
    Storage,
    data,
)

PERIOD_SECONDS = 5.0
AT_ONCE = 500
CAUSES = {POLICY: "Evicted: the retention period is over", "OPERATOR": "Evicted by an operator"}

EVICTED = Counter("refsys_evicted_products_total", "Products evicted, by mission and cause", ["mission", "cause"])
FAILED = Counter("refsys_eviction_failures_total", "Tries of an eviction that failed", ["mission"])
WAITING = Gauge("refsys_evictions_waiting", "Evictions that the last round found ready to be done")

log = logs.get_logger()


class Evictor:
    """Carries out evictions, shows changed eviction dates in the PRIP, completes recalls of products that are back."""

    def __init__(self, engine: Engine, store: ObjectStore) -> None:
        """Nothing happens before the first round."""
        self._engine = engine
        self._store = store

    def run(self, stop: threading.Event, period: float = PERIOD_SECONDS) -> None:
        """Make a round every `period` seconds until asked to stop."""
        while not stop.wait(period):
            try:
                self.round(stop)
            except UNAVAILABLE as error:
                log.error("eviction waits", reason=f"{type(error).__name__}: {error}")

    def round(self, stop: threading.Event | None = None) -> int:
        """Do what is due now, at most `AT_ONCE` evictions; returns how many were ready."""
        show_pending(self._engine, AT_ONCE)
        complete_returned(self._engine, self._store, AT_ONCE)
        with self._engine.begin() as connection:
            queue.add_due(connection, AT_ONCE)
            queue.forget_old(connection)
        with self._engine.connect() as connection:
            rows = queue.ready(connection, AT_ONCE)
        WAITING.set(len(rows))
        for row in rows:
            if stop and stop.is_set():
                break
            self._try(row)
        return len(rows)

    def _try(self, row: RowMapping) -> None:
        try:
            self.evict(row["product_name"], Storage(row["storage"]), row["path"])
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.error("eviction failed, it is tried again", product=row["product_name"], reason=reason)
            FAILED.labels(row["product_name"][:2]).inc()
            with self._engine.begin() as connection:
                queue.failed(connection, row, reason)

    def evict(self, name: str, storage: Storage, path: str) -> None:
        """Carry one eviction to its end, from where it stands."""
        bucket, key = place_of(path)
        with exclusive(self._engine, path):
            row = self._unpublish(name, storage, path)
            if row is None or row["state"] == DONE:
                return
            with logs.task(
                "DataLifecycleWorker",
                chain="DATA_LIFECYCLE",
                mission=row["mission_id"],
                satellite=row["satellite_id"],
                filename=key,
                cause=row["cause"],
                operator=row["operator_name"],
            ) as task:
                self._remove_from_catalogue(name, storage, bucket, key)
                task.output = {"deleted": self._delete_object(row, bucket, key)}
                self._delete_quicklooks(name)
                self._finish(name, storage, path)
                EVICTED.labels(row["mission_id"], row["cause"]).inc()

    def _unpublish(self, name: str, storage: Storage, path: str) -> RowMapping | None:
        """First step; None if the request was taken back, became another, or is no longer due."""
        _, key = place_of(path)
        with self._engine.begin() as connection:
            known = _lifecycle_row(connection, name)
            row = queue.find(connection, name, storage)
            if row is None or row["path"] != path:
                return None
            if row["state"] != REQUESTED:
                return row
            if row["cause"] == POLICY and not _is_due(connection, known, storage):
                queue.cancel(connection, name, storage)
                return None
            found = connection.execute(select(product.c.id).where(product.c.name == key)).scalar_one_or_none()
            if found is not None and known is not None and known["available_in_lta"]:
                offline = update(product).where(product.c.id == found)
                connection.execute(offline.values(online=False, eviction_date=None))
            elif found is not None:
                delete_product(connection, found, CAUSES[row["cause"]])
            queue.reached(connection, row, UNPUBLISHED)
            return row

    def _remove_from_catalogue(self, name: str, storage: Storage, bucket: str, key: str) -> None:
        with self._engine.begin() as connection:
            row = queue.find(connection, name, storage)
            if row is not None and row["state"] == UNPUBLISHED:
                connection.execute(delete(Product).where(Product.name == key, Product.bucket == bucket))
                queue.reached(connection, row, UNCATALOGUED)

    def _delete_object(self, row: RowMapping, bucket: str, key: str) -> bool:
        """Delete the product's objects, unless it was ingested again after the eviction was requested."""
        found = self._store.head(bucket, key)
        there = {key: found.modified} if found else {}
        there |= {each.key: each.modified for each in self._store.list_folder(bucket, key)}
        if any(modified > row["requested"] for modified in there.values()):
            log.warning("object was ingested again meanwhile, it stays", product=key)
            return False
        for each in there:
            self._store.delete(bucket, each)
        return bool(there)

    def _delete_quicklooks(self, name: str) -> None:
        """Delete the preview images of a product that nobody is shown any more."""
        with self._engine.connect() as connection:
            catalogued = select(Product.id).where(Product.name == name)
            published = select(product.c.id).where(product.c.id == product_id(name))
            shown = connection.execute(select(catalogued.exists() | published.exists())).scalar_one()
        if not shown:
            self._store.delete_folder(QUICKLOOKS, name)

    def _finish(self, name: str, storage: Storage, path: str) -> None:
        with self._engine.begin() as connection:
            known = _lifecycle_row(connection, name)
            row = queue.find(connection, name, storage)
            if row is None or row["state"] != UNCATALOGUED:
                return
            queue.reached(connection, row, DONE)
            inserted = known[storage.column("last_insertion")] if known else None
            if known is None or known[storage.column("path")] != path or inserted > row["requested"]:
                return
            other = Storage.COMPRESSED if storage is Storage.UNCOMPRESSED else Storage.UNCOMPRESSED
            if known[other.column("path")] is None and not known["available_in_lta"]:
                connection.execute(delete(data).where(data.c.product_name == name))
                return
            empty = ("path", "product_family", "eviction_date", "last_insertion")
            values = {storage.column(field): None for field in empty}
            connection.execute(
                update(data).where(data.c.product_name == name).values(**values, last_modified=func.now())
            )


def _lifecycle_row(connection: Connection, name: str) -> RowMapping | None:
    """The product's row, locked before its eviction is: everybody takes the two locks in this order."""
    statement = select(data).where(data.c.product_name == name).with_for_update()
    return connection.execute(statement).mappings().one_or_none()


def _is_due(connection: Connection, known: RowMapping | None, storage: Storage) -> bool:
    if known is None or known[storage.column("persistent")]:
        return False
    date = known[storage.column("eviction_date")]
    return date is not None and date <= connection.execute(select(func.now())).scalar_one()
