"""Recalled products that are back: online again, with their orders completed, for some days.

A product is back when ingestion has stored it, the catalogue knows it, its insertion is recorded here, and no eviction
of it is going on.
"""

from datetime import datetime

from sqlalchemy import Engine, RowMapping, func, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.catalogue.tables import VALID, Product
from refsys.services.common.database import exclusive
from refsys.services.common.families import storage_path_in
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.delivery import recalls
from refsys.services.distribution.delivery.model import recall
from refsys.services.distribution.delivery.orders import OPEN_RECALLS
from refsys.services.lifecycle.tables import DONE, Storage, data, eviction


def complete_returned(engine: Engine, store: ObjectStore, limit: int) -> int:
    """Complete the recalls of products that are back, of the oldest open ones; returns how many."""
    oldest = select(recall).where(recall.c.state.in_(OPEN_RECALLS)).order_by(recall.c.requested).limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(oldest).mappings().all()
    return sum(_complete(engine, store, row) for row in rows)


def _complete(engine: Engine, store: ObjectStore, row: RowMapping) -> bool:
    path = storage_path_in(row["bucket"], row["object_key"])
    if not _is_known(engine, row, path):
        return False
    with exclusive(engine, path):  # no eviction begins meanwhile
        found = store.head(row["bucket"], row["object_key"])
        if found is None or found.size != row["content_length"] or not _is_known(engine, row, path):
            return False
        return recalls.complete(engine, row["id"], _kept_until(engine, path))


def _is_known(engine: Engine, row: RowMapping, path: str) -> bool:
    valid = select(Product.id).where(
        Product.bucket == row["bucket"], Product.key == row["object_key"], Product.state == VALID
    )
    recorded = select(data.c.product_name).where(_lies_at(path))
    going = select(eviction.c.path).where(eviction.c.path == path, eviction.c.state != DONE)
    with engine.connect() as connection:
        return bool(connection.execute(select(valid.exists() & recorded.exists() & ~going.exists())).scalar_one())


def _kept_until(engine: Engine, path: str) -> datetime:
    """Have the product evicted again when the order ends, or when it is due anyway; returns when."""
    with engine.begin() as connection:
        until: datetime = connection.execute(select(func.now() + recalls.ONLINE_FOR)).scalar_one()
        for storage in Storage:
            date, persistent = data.c[storage.column("eviction_date")], data.c[storage.column("persistent")]
            due = func.least(func.coalesce(date, until), until)
            here = update(data).where(data.c[storage.column("path")] == path, ~persistent)
            changed = here.values({date: due, data.c.last_data_request: func.now()}).returning(date)
            until = connection.execute(changed).scalar_one_or_none() or until
    return until


def _lies_at(path: str) -> ColumnElement[bool]:
    return or_(*(data.c[storage.column("path")] == path for storage in Storage))
