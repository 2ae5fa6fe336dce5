"""The three places: object store, catalogue, PRIP; as ordered listings, and asked for one key."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, Select, Text, and_, collate, or_, select, type_coerce, union

from refsys.services.catalogue.tables import Product
from refsys.services.common.families import BUCKETS, storage_path_in
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.model import product
from refsys.services.lifecycle.tables import DONE, Storage, data, eviction
from refsys.services.reconciliation.compare import State

ROWS_AT_ONCE = 1000
SNAPSHOT = "REPEATABLE READ"


class Places:
    """The places of one environment."""

    def __init__(self, engine: Engine, store: ObjectStore) -> None:
        """Nothing is read before the first question."""
        self._engine = engine
        self._store = store

    def buckets(self) -> list[str]:
        """Every bucket that the deployment makes or that a row names."""
        with self._engine.connect() as connection:
            named = connection.execute(union(select(Product.bucket), select(product.c.bucket))).scalars()
            return sorted({*BUCKETS.values(), *named})

    def objects(self, bucket: str) -> Iterator[State]:
        """The objects of a bucket in the order of their keys."""
        for found in self._store.list(bucket):
            yield State(found.key, object_size=found.size, changed=found.modified)

    def catalogued(self, connection: Connection, bucket: str) -> Iterator[State]:
        """The catalogued products of a bucket in the order of their keys."""
        key = collate(Product.key, "C")
        for row in _streamed(connection, _catalogue().where(Product.bucket == bucket).order_by(key)):
            yield _catalogue_state(row)

    def published(self, connection: Connection, bucket: str) -> Iterator[State]:
        """The published products of a bucket in the order of their keys."""
        key = collate(product.c.object_key, "C")
        for row in _streamed(connection, _published().where(product.c.bucket == bucket).order_by(key)):
            yield _published_state(row)

    def now(self, bucket: str, key: str) -> State | None:
        """What the places say of a key at this moment; None if its eviction is going on.

        A file within a product's folder is no key of its own, the folder is.
        """
        with self._engine.connect() as connection:
            path = storage_path_in(bucket, key)
            going = select(eviction.c.path).where(eviction.c.path == path, eviction.c.state != DONE)
            if connection.execute(going).first():
                return None
            if self._in_folder(connection, bucket, key):
                return None
            state = State(key)
            catalogued = _catalogue().where(Product.bucket == bucket, or_(Product.name == key, Product.key == key))
            if row := connection.execute(catalogued).first():
                state = state.merged(_catalogue_state(row))
            published = _published().where(product.c.bucket == bucket, product.c.name == key)
            if row := connection.execute(published).first():
                state = state.merged(_published_state(row))
        if found := self._store.head(bucket, key):
            return state.merged(State(key, object_size=found.size, changed=found.modified))
        if state.catalogue_size is not None and (files := list(self._store.list_folder(bucket, key))):
            changed = max(each.modified for each in files)
            return state.merged(State(key, object_size=sum(each.size for each in files), changed=changed))
        return state

    def _in_folder(self, connection: Connection, bucket: str, key: str) -> bool:
        folder, slash, _ = key.partition("/")
        if not slash:
            return False
        paths = [storage_path_in(bucket, folder), storage_path_in(bucket, key[: len(folder) + 1])]
        catalogued = select(Product.id).where(Product.bucket == bucket, Product.key == folder)
        lies = or_(*(data.c[storage.column("path")].in_(paths) for storage in Storage))
        kept = select(data.c.product_name).where(lies)
        return bool(connection.execute(select(catalogued.exists() | kept.exists())).scalar_one())


def _catalogue() -> Any:
    return select(Product.key, Product.size, Product.state, Product.modified)


def _catalogue_state(row: Any) -> State:
    return State(row.key, catalogue_size=row.size, catalogue_state=row.state, changed=row.modified)


def _published() -> Any:
    archived = select(data.c.product_name).where(data.c.product_name == product.c.object_key, data.c.available_in_lta)
    return select(
        type_coerce(product.c.object_key, Text).label("key"),
        product.c.content_length,
        product.c.publication_date,
        and_(~product.c.online, archived.exists()).label("recallable"),
    )


def _published_state(row: Any) -> State:
    return State(row.key, published_size=row.content_length, recallable=row.recallable, changed=row.publication_date)


def _streamed(connection: Connection, statement: Select[Any]) -> Iterator[Any]:
    yield from connection.execute(statement.execution_options(yield_per=ROWS_AT_ONCE))
