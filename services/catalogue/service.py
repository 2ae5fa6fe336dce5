"""The `catalogue` process: each `catalog-job` becomes one catalogued product and one `catalog-event`.

The event is made from the committed row, with identifiers derived from the product name: the same job again
changes nothing and sends the same event again.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from prometheus_client import Counter
from sqlalchemy import Engine, RowMapping, func, select
from sqlalchemy.dialects.postgresql import insert

from refsys.services.catalogue.archive import metadata_document
from refsys.services.catalogue.metadata import Metadata, read_metadata
from refsys.services.catalogue.tables import INVALID, VALID, Product
from refsys.services.catalogue.xml import UnreadableError
from refsys.services.common import logs, process
from refsys.services.common.bus import Consumer, Producer, RejectedError
from refsys.services.common.database import open_database
from refsys.services.common.families import split_storage_path
from refsys.services.common.messages import CATALOG_EVENT, CATALOG_JOB, CatalogEvent, CatalogJob, utc_now
from refsys.services.common.names import InvalidNameError, ProductName, parse_name
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, S3Settings, load
from refsys.services.common.store import ObjectStore

WORKERS = 2
CONTENT_TYPES = {
    ".eof": "application/xml",
    ".xml": "application/xml",
    ".zip": "application/zip",
    ".tgz": "application/gzip",
    ".tar": "application/x-tar",
}

CATALOGUED = Counter("refsys_catalogued_products_total", "Products catalogued, by state", ["mission", "state"])

log = logs.get_logger()


@dataclass(frozen=True)
class Catalogue:
    """Handles catalogue jobs; threads may share it."""

    engine: Engine
    store: ObjectStore
    producer: Producer

    def handle(self, job: CatalogJob) -> None:
        """Catalogue one product and send its event; a product already there only has its event sent again."""
        try:
            name = parse_name(job.key_object_storage)
            split_storage_path(job.storage_path)
        except (InvalidNameError, ValueError) as error:
            raise RejectedError(str(error)) from None
        row = self._find(name.name)
        if row is not None and (row["size"], _values(row["checksums"])) != (
            job.product_size_byte,
            {item.algorithm: item.value for item in job.checksums},
        ):
            raise RejectedError(f"another content is catalogued as {name.name}: size {row['size']} bytes")
        if row is None or row["state"] == INVALID:
            row = self._catalogue(job, name)
        event = _event(row)
        self.producer.send(CATALOG_EVENT, event, event.key())

    def _catalogue(self, job: CatalogJob, name: ProductName) -> RowMapping:
        with logs.task(
            "MetadataExtraction",
            chain="CATALOGUE",
            mission=job.mission_id,
            satellite=job.satellite_id,
            follows=str(job.uid),
            filename=name.name,
        ) as task:
            metadata: Metadata | None = None
            reason = ""
            try:
                with self.store.open(*split_storage_path(job.storage_path)) as file:
                    metadata = read_metadata(name, metadata_document(name.name, file))
            except FileNotFoundError:
                raise RejectedError(f"object {job.storage_path} is not in the store; ingest it again") from None
            except UnreadableError as error:
                reason = str(error)
            row = self._save(job, name, metadata, reason)
            CATALOGUED.labels(job.mission_id, row["state"]).inc()
            if metadata is None:
                raise RejectedError(f"metadata of {name.name} is unreadable, state INVALID: {reason}")
            task.output = {"product_id": str(row["id"])}
            return row

    def _find(self, name: str) -> RowMapping | None:
        with self.engine.connect() as connection:
            statement = select(Product.__table__).where(Product.name == name)
            return connection.execute(statement).mappings().one_or_none()

    def _save(self, job: CatalogJob, name: ProductName, metadata: Metadata | None, reason: str) -> RowMapping:
        """Write the product, unless another process wrote a valid one meanwhile; returns what is there."""
        bucket, key = split_storage_path(job.storage_path)
        footprint = metadata.footprint if metadata else None
        values: dict[str, Any] = {
            "id": product_id(name.name),
            "name": name.name,
            "family": job.product_family,
            "mission": job.mission_id,
            "satellite": name.satellite_id,
            "product_type": name.product_type,
            "station": job.station_name,
            "size": job.product_size_byte,
            "checksums": [item.model_dump(mode="json") for item in job.checksums],
            "bucket": bucket,
            "key": key,
            "content_start": metadata.start if metadata else None,
            "content_end": metadata.end if metadata else None,
            "attributes": [item.model_dump(mode="json") for item in metadata.attributes] if metadata else [],
            "footprint": json.dumps(footprint) if footprint else None,
            "trace": job.trace.model_copy(update={"catalogued": utc_now()}).model_dump(mode="json"),
            "additional_fields": dict(job.additional_fields),
            "state": VALID if metadata else INVALID,
            "reason": reason,
        }
        statement = insert(Product).values(values)
        changing = {column: statement.excluded[column] for column in values if column not in ("id", "name")}
        with self.engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[Product.name],
                    set_={**changing, "modified": func.now()},
                    where=Product.state == INVALID,
                )
            )
            read = select(Product.__table__).where(Product.name == name.name)
            return connection.execute(read).mappings().one()


def product_id(name: str) -> UUID:
    """The identifier of a product: always the same for a name, so that links survive a rebuilt catalogue."""
    return uuid5(NAMESPACE_URL, f"urn:refsys:product:{name}")


def _values(checksums: list[dict[str, Any]]) -> dict[str, str]:
    return {item["algorithm"]: item["value"] for item in checksums}


def _event(row: RowMapping) -> CatalogEvent:
    identifier: UUID = row["id"]
    name: str = row["name"]
    extension = name[name.rindex(".") :].lower()
    return CatalogEvent(
        uid=uuid5(identifier, CATALOG_EVENT),
        creation_date=row["created"],
        mission_id=row["mission"],
        satellite_id=row["satellite"],
        key_object_storage=row["key"],
        storage_path=f"s3://{row['bucket']}/{row['key']}",
        product_family=row["family"],
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
