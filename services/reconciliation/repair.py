"""The safe repair of each disagreement: nothing is deleted but quarantined orphans, and those only if asked for."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.catalogue.service import catalog_event
from refsys.services.catalogue.tables import LOST, VALID, Product
from refsys.services.common.bus import Producer
from refsys.services.common.families import BUCKETS, storage_path_in
from refsys.services.common.messages import (
    CATALOG_EVENT,
    CATALOG_JOB,
    CatalogJob,
    Checksum,
    Trace,
    iso,
)
from refsys.services.common.names import InvalidNameError, parse_name
from refsys.services.common.pod import pod_name
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.model import product
from refsys.services.ingestion.tables import StoredFile
from refsys.services.lifecycle.record import product_name, storage_of
from refsys.services.lifecycle.tables import data
from refsys.services.reconciliation.compare import Kind, State, detail
from refsys.services.reconciliation.tables import orphan, run

FAMILIES = {bucket: family for family, bucket in BUCKETS.items()}


class Repairer:
    """Repairs for one run; messages are durable after the producer's `flush`."""

    def __init__(
        self, engine: Engine, store: ObjectStore, producer: Producer, run_id: UUID, *, delete_orphans: bool
    ) -> None:
        """Repair with `delete_orphans`: what an earlier run quarantined is deleted."""
        self._engine = engine
        self._store = store
        self._producer = producer
        self._run_id = run_id
        self._delete_orphans = delete_orphans
        self._repairs: dict[Kind, Callable[[str, State], str]] = {
            Kind.ORPHAN: self._orphan,
            Kind.LOST: self._lost,
            Kind.WRONG_SIZE: self._lost,
            Kind.FOUND_AGAIN: self._found_again,
            Kind.UNCATALOGUED: self._uncatalogued,
            Kind.UNPUBLISHED: self._unpublished,
        }

    def repair(self, kind: Kind, bucket: str, state: State) -> str:
        """Repair one disagreement; returns what was done. The same again does no harm."""
        return self._repairs[kind](bucket, state)

    def _orphan(self, bucket: str, state: State) -> str:
        with self._engine.begin() as connection:
            stored = connection.execute(
                select(StoredFile.__table__).where(
                    StoredFile.storage_path == storage_path_in(bucket, state.key),
                    StoredFile.name == state.key,
                    StoredFile.size == state.object_size,
                )
            ).one_or_none()
            if stored is None:
                return self._quarantine(bucket, state)
        job = CatalogJob(
            mission_id=stored.mission,
            satellite_id=parse_name(stored.name).satellite_id,
            key_object_storage=stored.name,
            storage_path=stored.storage_path,
            product_family=stored.family,
            pod_name=pod_name(),
            product_size_byte=stored.size,
            station_name=stored.station,
            checksums=[Checksum.model_validate(item) for item in stored.checksums],
            additional_fields={"t0PdgsDate": iso(stored.publication_date)},
            trace=Trace(station_publication=stored.publication_date, seen=stored.seen, stored=stored.stored),
        )
        self._producer.send(CATALOG_JOB, job, job.key())
        return "catalogue job sent"

    def _quarantine(self, bucket: str, state: State) -> str:
        row = {"bucket": bucket, "key": state.key, "size": state.object_size}
        with self._engine.begin() as connection:
            started: datetime = connection.execute(select(run.c.started).where(run.c.id == self._run_id)).scalar_one()
            statement = insert(orphan).values(**row, first_seen=func.now(), last_seen=func.now())
            first_seen = connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[orphan.c.bucket, orphan.c.key],
                    set_={"size": state.object_size, "last_seen": func.now()},
                ).returning(orphan.c.first_seen)
            ).scalar_one()
        if not self._delete_orphans or first_seen >= started:
            return "quarantined"
        self._store.delete(bucket, state.key)
        with self._engine.begin() as connection:
            connection.execute(delete(orphan).where(orphan.c.bucket == bucket, orphan.c.key == state.key))
        return f"deleted, it was in quarantine since {iso(first_seen)}"

    def _lost(self, bucket: str, state: State) -> str:
        lost = update(Product).where(Product.bucket == bucket, Product.name == state.key, Product.state == VALID)
        offline = update(product).where(product.c.name == state.key, product.c.online)
        with self._engine.begin() as connection:
            marked = connection.execute(
                lost.values(state=LOST, reason=f"reconciliation: {detail(state)}", modified=func.now())
            ).rowcount
            marked += connection.execute(offline.values(online=False)).rowcount
        return "marked lost, offline in the PRIP" if marked else "is marked already"

    def _found_again(self, bucket: str, state: State) -> str:
        found = update(Product).where(Product.bucket == bucket, Product.name == state.key, Product.state == LOST)
        online = update(product).where(product.c.name == state.key)
        with self._engine.begin() as connection:
            connection.execute(found.values(state=VALID, reason="", modified=func.now()))
            connection.execute(online.values(online=True))
        return "valid again, online in the PRIP"

    def _unpublished(self, bucket: str, state: State) -> str:
        with self._engine.connect() as connection:
            statement = select(Product.__table__).where(Product.bucket == bucket, Product.name == state.key)
            row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            return "is gone meanwhile"
        name = product_name(state.key, storage_of(row["family"]))
        with self._engine.begin() as connection:  # once published, it is to show its eviction date again
            shown = update(data).where(data.c.product_name == name)
            connection.execute(shown.values(last_modified=func.now(), prip_pending=func.now()))
        event = catalog_event(row)
        self._producer.send(CATALOG_EVENT, event, event.key())
        return "catalogue event sent, to be published again"

    def _uncatalogued(self, bucket: str, state: State) -> str:
        if state.object_size is None or state.object_size != state.published_size or bucket not in FAMILIES:
            return self._lost(bucket, state)
        with self._engine.connect() as connection:
            row = connection.execute(select(product).where(product.c.name == state.key)).one_or_none()
        if row is None:
            return "is gone meanwhile"
        try:
            satellite = parse_name(row.name).satellite_id
        except InvalidNameError:
            return self._lost(bucket, state)
        job = CatalogJob(
            mission_id=row.mission,
            satellite_id=satellite,
            key_object_storage=row.object_key,
            storage_path=storage_path_in(bucket, row.object_key),
            product_family=FAMILIES[bucket],
            pod_name=pod_name(),
            product_size_byte=row.content_length,
            station_name="",
            checksums=[Checksum.model_validate(item) for item in row.checksums],
            additional_fields={"t0PdgsDate": iso(row.origin_date)} if row.origin_date else {},
            trace=Trace.model_validate(row.trace),
        )
        self._producer.send(CATALOG_JOB, job, job.key())
        return "catalogue job sent"
