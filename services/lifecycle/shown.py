"""The EvictionDate that the PRIP shows follows `lifecycle.data`; an offline product that came in again is online.

A product may be published after its date was computed. A change that finds nothing to write to is therefore tried
again, each time after as long a wait as it has waited already, at most a day.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, update

from refsys.services.catalogue.tables import VALID, Product
from refsys.services.common.families import place_of
from refsys.services.distribution.model import product
from refsys.services.lifecycle.tables import DONE, Storage, data, eviction

SHORTEST = timedelta(seconds=2)
LONGEST = timedelta(days=1)


def show_pending(engine: Engine, limit: int) -> int:
    """Tell the PRIP of changed eviction dates; returns how many products it now shows as they are."""
    shown = 0
    with engine.begin() as connection:
        rows = connection.execute(
            select(data)
            .where(data.c.prip_pending <= func.now())
            .order_by(data.c.prip_pending)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).mappings()
        for row in rows.all():
            told = [_show(connection, row, storage) for storage in Storage]
            done = all(told)
            waited = func.now() - data.c.last_modified
            again: Any = None if done else func.now() + func.least(LONGEST, func.greatest(SHORTEST, waited))
            connection.execute(
                update(data).where(data.c.product_name == row["product_name"]).values(prip_pending=again)
            )
            shown += done
    return shown


def _show(connection: Connection, row: RowMapping, storage: Storage) -> bool:
    """Whether the PRIP shows the date of one storage; True if nothing lies there."""
    path = row[storage.column("path")]
    if path is None:
        return True
    date = None if row[storage.column("persistent")] else row[storage.column("eviction_date")]
    bucket, key = place_of(path)
    shown = update(product).where(product.c.name == key)
    if connection.execute(shown.values(eviction_date=date)).rowcount == 0:
        return False
    valid = select(Product.id).where(Product.bucket == bucket, Product.key == key, Product.state == VALID)
    going = select(eviction.c.path).where(eviction.c.path == path, eviction.c.state != DONE)
    back = shown.where(~product.c.online, product.c.bucket == bucket, valid.exists(), ~going.exists())
    connection.execute(back.values(online=True))
    return True
