"""The `catalogue` process: each `catalog-job` becomes one catalogued product and one `catalog-event`.

The event is made from the committed row, with identifiers derived from the product name: the same job again
changes nothing and sends the same event again.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from prometheus_client import Counter
from shapely.errors import ShapelyError
from sqlalchemy import Engine, RowMapping, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from refsys.services.catalogue.archive import files_in
from refsys.services.catalogue.documents import metadata_documents
from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.files import Folder, ProductFiles
from refsys.services.catalogue.metadata import Metadata, read_metadata
from refsys.services.catalogue.quicklooks import has_quicklooks, store_quicklooks
from refsys.services.catalogue.readers import session
from refsys.services.catalogue.readers.plain import STORES
from refsys.services.catalogue.tables import INVALID, VALID, Product
from refsys.services.catalogue.xml import UnreadableError
from refsys.services.common import logs, process, tracing
from refsys.services.common.bus import Consumer, Producer, RejectedError
from refsys.services.common.database import autocommit, open_database
from refsys.services.common.families import Family, place_of, split_storage_path
from refsys.services.common.messages import CATALOG_EVENT, CATALOG_JOB, CatalogEvent, CatalogJob, Trace, utc_now
from refsys.services.common.names import InvalidNameError, ProductName, parse_name, shown
from refsys.services.common.reports import seen
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, S3Settings, load
from refsys.services.common.store import ObjectStore

WORKERS = 2
REASON_LIMIT = 2000
KEPT = ("id", "name", "created")  # of a product that is catalogued again
CONTENT_TYPES = {
    ".eof": "application/xml",
    ".xml": "application/xml",
    ".zip": "application/zip",
    ".tgz": "application/gzip",
    ".tar": "application/x-tar",
}

CATALOGUED = Counter("refsys_catalogued_products_total", "Products catalogued, by state", ["mission", "state"])

log = logs.get_logger()


def _save_statement() -> ReturningInsert[Any]:
    """Write a product over one that is not valid; returns the row, none if a valid one is there."""
    statement = insert(Product)
    columns = Product.__table__.columns
    changing = {each.name: statement.excluded[each.name] for each in columns if each.name not in KEPT}
    return statement.on_conflict_do_update(
        index_elements=[Product.name], set_={**changing, "modified": func.now()}, where=Product.state != VALID
    ).returning(Product.__table__)


SAVE = _save_statement()  # made once: SQLAlchemy takes longer to make it than PostgreSQL to carry it out
FIND = select(Product.__table__).where(Product.name == bindparam("name"))


@dataclass(frozen=True)
class Catalogue:
    """Handles catalogue jobs; threads may share it."""

    engine: Engine
    store: ObjectStore
    producer: Producer

    def handle(self, job: CatalogJob) -> None:
        """Catalogue one product and send its event; a product already there only has its event sent again."""
        try:
            split_storage_path(job.storage_path)
        except ValueError as error:
            raise RejectedError(str(error)) from None
        row = self._find(catalogue_name(job))
        if row is None or row["state"] != VALID:
            row = self._catalogue(job)
        elif (row["size"], _values(row["checksums"])) != (
            job.product_size_byte,
            {item.algorithm: item.value for item in job.checksums},
        ):
            raise RejectedError(f"another content is catalogued as {row['name']}: size {row['size']} bytes")
        event = catalog_event(row)
        self.producer.send(CATALOG_EVENT, event, event.key())

    def _catalogue(self, job: CatalogJob) -> RowMapping:
        with logs.task(
            "MetadataExtraction",
            chain="CATALOGUE",
            mission=job.mission_id,
            satellite=job.satellite_id,
            follows=str(job.uid),
            filename=shown(job.key_object_storage),
            station=job.station_name,
            family=job.product_family,
        ) as task:
            task.output = seen(job.trace)
            name: ProductName | None = None
            metadata: Metadata | None = None
            reason = ""
            try:
                name = _name_of(job)
                with tracing.step("extract metadata"), self._files(job, name) as files:
                    metadata = self._read(job, name, files)
                    if blocks := metadata.details.get(session.BLOCKS):
                        job = _with_fields(job, lastBlock=blocks[-1][:255])
                    if has_quicklooks(job.product_family):
                        images = store_quicklooks(self.store, catalogue_name(job), job.product_family, files)
                        job = _with_fields(job, quicklooks=images) if images else job
            except FileNotFoundError:
                raise RejectedError(f"object {job.storage_path} is not in the store; ingest it again") from None
            except (InvalidNameError, UnreadableError) as error:
                reason = str(error)
            except (ArithmeticError, LookupError, ValueError, RecursionError, ShapelyError) as error:
                reason = f"metadata can't be understood: {type(error).__name__}: {error}"
                log.warning("a reader failed", product=shown(job.key_object_storage), exc_info=error)
            with tracing.step("insert into catalogue"):
                row = self._save(job, name, metadata, reason[:REASON_LIMIT].replace("\x00", ""))
            CATALOGUED.labels(job.mission_id, row["state"]).inc()
            if row["state"] == INVALID:
                raise RejectedError(f"metadata of {row['name']} is unreadable, state INVALID: {reason}")
            task.output |= {"product_id": str(row["id"]), "catalog_storage": _catalogued(row)}
            return row

    @contextmanager
    def _files(self, job: CatalogJob, name: ProductName) -> Iterator[ProductFiles]:
        """The files of a product.

        Raises:
            FileNotFoundError: it is not in the store.
            RejectedError: not all files of a folder are.
        """
        bucket, key = place_of(job.storage_path)
        try:
            file = self.store.open(bucket, key)
        except FileNotFoundError:
            folder = Folder(self.store, bucket, key)
        else:
            with file:
                yield files_in(name.name, file)
            return
        if folder.size != job.product_size_byte:
            raise RejectedError(
                f"{job.storage_path} has {folder.size} bytes in its files, the job says {job.product_size_byte}; "
                "catalogue the product when all of it is stored"
            )
        yield folder

    def _read(self, job: CatalogJob, name: ProductName, files: ProductFiles) -> Metadata:
        draft = Draft()
        if name.product_type[3:6] == "RAW":
            draft.packet_stores = self._packet_stores(name)
        if session.is_raw(name):
            session.read_raw(name, job.trace.station_publication or job.trace.stored or job.creation_date, draft)
            return read_metadata(name, [], draft)
        return read_metadata(name, metadata_documents(files), draft)

    def _packet_stores(self, name: ProductName) -> Mapping[int, str]:
        """What the packet stores of a satellite are for, by the memory configuration valid at the product's start."""
        statement = (
            select(Product.details[STORES])
            .where(Product.product_type == "AUX_OBMEMC", Product.satellite == name.satellite_id)
            .where(Product.state == VALID, Product.details.has_key(STORES), Product.content_start <= name.start)
            .order_by(Product.content_start.desc(), Product.generated.desc().nulls_last())
            .limit(1)
        )
        with autocommit(self.engine) as connection:
            stores: Mapping[str, str] = connection.execute(statement).scalar_one_or_none() or {}
        return {int(number): kind for number, kind in stores.items()}

    def _find(self, name: str) -> RowMapping | None:
        with autocommit(self.engine) as connection:
            return connection.execute(FIND, {"name": name}).mappings().one_or_none()

    def _save(self, job: CatalogJob, name: ProductName | None, metadata: Metadata | None, reason: str) -> RowMapping:
        """Write the product, unless another process wrote a valid one meanwhile; returns what is there."""
        bucket, key = place_of(job.storage_path)
        footprint = metadata.footprint if metadata else None
        told = {"catalogued": utc_now(), "trace_id": job.trace_id()}
        values: dict[str, Any] = {
            "id": product_id(catalogue_name(job)),
            "name": catalogue_name(job),
            "family": job.product_family,
            "mission": job.mission_id,
            "satellite": name.satellite_id if name else job.satellite_id,
            "product_type": name.product_type if name else "",
            "station": job.station_name,
            "size": job.product_size_byte,
            "checksums": [item.model_dump(mode="json") for item in job.checksums],
            "bucket": bucket,
            "key": key,
            "content_start": metadata.start if metadata else None,
            "content_end": metadata.end if metadata else None,
            "attributes": [item.model_dump(mode="json") for item in metadata.attributes] if metadata else [],
            "footprint": json.dumps(footprint) if footprint else None,
            "trace": job.trace.model_copy(update=told).model_dump(mode="json"),
            "additional_fields": dict(job.additional_fields),
            "state": VALID if metadata else INVALID,
            "reason": reason,
            "timeliness": (metadata.timeliness if metadata else "") or job.timeliness,
            **_searched(name, metadata),
        }
        with autocommit(self.engine) as connection:
            saved = connection.execute(SAVE, values).mappings().one_or_none()
        found = saved or self._find(catalogue_name(job))
        if found is None:
            raise LookupError(f"{catalogue_name(job)} was removed while it was catalogued")
        return found


def product_id(name: str) -> UUID:
    """The identifier of a product: always the same for a name, so that links survive a rebuilt catalogue."""
    return uuid5(NAMESPACE_URL, f"urn:refsys:product:{name}")


def catalogue_name(job: CatalogJob) -> str:
    """The name in the catalogue: the object's key; a retransferred file has the same key in another bucket."""
    retransferred = job.product_family == Family.SESSION_RETRANSFER
    return f"RETRANSFER/{job.key_object_storage}" if retransferred else job.key_object_storage


def _with_fields(job: CatalogJob, **fields: Any) -> CatalogJob:
    """The job with what was found in the product for its events."""
    return job.model_copy(update={"additional_fields": {**job.additional_fields, **fields}})


def _name_of(job: CatalogJob) -> ProductName:
    """What the product's name tells; its mission and satellite from the job where the name tells none."""
    in_folder = job.product_family in (Family.EDRS_SESSION, Family.SESSION_RETRANSFER)
    name = parse_name(PurePosixPath(job.key_object_storage).name if in_folder else job.key_object_storage)
    return name if name.mission else replace(name, mission=job.mission_id, satellite=job.satellite_id[2:3])


def _searched(name: ProductName | None, metadata: Metadata | None) -> dict[str, Any]:
    """The columns that searches select by."""
    if name is None or metadata is None:
        return {"session_id": name.fields.get("session") if name else None}
    values = {attribute.name: attribute.value for attribute in metadata.attributes}
    orbit = values.get("orbitNumber")
    made = values.get("processingDate")
    return {
        "generated": datetime.fromisoformat(str(made)) if made else name.generated,
        "datatake_id": values.get("datatakeID"),
        "orbit_start": orbit,
        "orbit_end": values.get("lastOrbitNumber", orbit),
        "session_id": metadata.details.get(session.SESSION),
        "details": dict(metadata.details),
    }


def _catalogued(row: RowMapping) -> datetime | None:
    return Trace.model_validate(row["trace"]).catalogued


def _values(checksums: list[dict[str, Any]]) -> dict[str, str]:
    return {item["algorithm"]: item["value"] for item in checksums}


def catalog_event(row: RowMapping) -> CatalogEvent:
    """Return the event of a catalogued product: always the same for the same row."""
    identifier: UUID = row["id"]
    name: str = row["name"]
    extension = PurePosixPath(name).suffix.lower()
    return CatalogEvent(
        uid=uuid5(identifier, CATALOG_EVENT),
        creation_date=row["created"],
        mission_id=row["mission"],
        satellite_id=row["satellite"],
        key_object_storage=row["key"],
        storage_path=f"s3://{row['bucket']}/{row['key']}",
        product_family=row["family"],
        timeliness=row["timeliness"],
        additional_fields=row["additional_fields"],
        product_size_byte=row["size"],
        station_name=row["station"],
        checksums=row["checksums"],
        trace=row["trace"],
        product_id=identifier,
        content_date_start=row["content_start"],
        content_date_end=row["content_end"],
        footprint=json.loads(row["footprint"]) if row["footprint"] else None,
        attributes=row["attributes"],
        content_type=CONTENT_TYPES.get(extension, "application/octet-stream"),
    )


def main() -> None:
    """Handle catalogue jobs until asked to stop."""
    database, kafka, s3 = load(DatabaseSettings), load(KafkaSettings), load(S3Settings)
    running = process.start("catalogue")
    engine = open_database(database, running.name, pool_size=WORKERS)
    producer = Producer(kafka, running.name)
    catalogue = Catalogue(engine, ObjectStore(s3), producer)
    Consumer(
        kafka,
        running,
        producer,
        topic=CATALOG_JOB,
        model=CatalogJob,
        handle=catalogue.handle,
        workers=WORKERS,
    ).run()
    engine.dispose()
