"""From events to `lifecycle.data`: the same event again changes nothing, whatever order they come in."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common import logs
from refsys.services.common.messages import CatalogEvent
from refsys.services.lifecycle.policies import Policies
from refsys.services.lifecycle.tables import DONE, Storage, data, eviction

COMPRESSED_FAMILY = "_ZIP"
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")


def storage_of(family: str) -> Storage:
    """The storage in which products of a family lie."""
    return Storage.COMPRESSED if family.endswith(COMPRESSED_FAMILY) else Storage.UNCOMPRESSED


def product_name(key: str, storage: Storage) -> str:
    """The name of a product by its key: the same in both storages."""
    if storage is Storage.COMPRESSED:
        for ending in sorted(ARCHIVES, key=len, reverse=True):
            if key.endswith(ending):
                return key.removesuffix(ending)
    return key


def record(engine: Engine, policies: Policies, event: CatalogEvent) -> None:
    """Enter an insertion into a storage; an event that is not newer than what is known changes nothing."""
    storage = storage_of(event.product_family)
    name = product_name(event.key_object_storage, storage)
    with (
        logs.task(
            "DataLifecycleWorker",
            chain="DATA_LIFECYCLE",
            mission=event.mission_id,
            satellite=event.satellite_id,
            follows=str(event.uid),
            filename=event.key_object_storage,
        ) as task,
        engine.begin() as connection,
    ):
        row = _locked(connection, name, event)
        if not _is_new(connection, row, storage, event.creation_date):
            task.output = {"changed": False}
            _forget_if_empty(connection, row)
            return
        date = policies.eviction_date(event.product_family, event.key_object_storage, event.creation_date)
        changes: dict[str, Any] = {
            storage.column("path"): event.storage_path,
            storage.column("product_family"): event.product_family,
            storage.column("last_insertion"): event.creation_date,
            storage.column("eviction_date"): date,
        }
        if policies.available_in_lta(event.product_family, event.key_object_storage):
            changes["available_in_lta"] = True
        other = Storage.UNCOMPRESSED.column("eviction_date")
        compressed = {**row, **changes}[Storage.COMPRESSED.column("last_insertion")]
        changes[other] = policies.shortened({**row, **changes}[other], compressed)
        connection.execute(
            update(data)
            .where(data.c.product_name == name)
            .values(**changes, last_modified=func.now(), prip_pending=func.now())
        )
        task.output = {"changed": True, "eviction_date": date}


def _locked(connection: Connection, name: str, event: CatalogEvent) -> RowMapping:
    connection.execute(
        insert(data)
        .values(product_name=name, mission_id=event.mission_id, satellite_id=event.satellite_id)
        .on_conflict_do_nothing()
    )
    return connection.execute(select(data).where(data.c.product_name == name).with_for_update()).mappings().one()


def _is_new(connection: Connection, row: RowMapping, storage: Storage, inserted: datetime) -> bool:
    """Whether an insertion is newer than the known one and than the last eviction."""
    known = row[storage.column("last_insertion")]
    if known is not None and known >= inserted:
        return False
    evicted = connection.execute(
        select(eviction.c.requested).where(
            eviction.c.product_name == row["product_name"], eviction.c.storage == storage, eviction.c.state == DONE
        )
    ).scalar_one_or_none()
    return evicted is None or evicted < inserted


def _forget_if_empty(connection: Connection, row: RowMapping) -> None:
    """Remove the row that a late event of an evicted product made again."""
    if all(row[storage.column("path")] is None for storage in Storage) and not row["available_in_lta"]:
        connection.execute(data.delete().where(data.c.product_name == row["product_name"]))
