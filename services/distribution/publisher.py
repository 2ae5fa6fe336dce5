"""The `publisher` process: each `catalog-event` becomes one published product.

Products that users get as an archive (refsys.services.compression.rules) are published by `compression-event`
instead; all others take the direct way.

A client polls with `PublicationDate gt <last>` and must never miss a product. Publication dates are therefore
given one after the other, under a lock that is held until the commit: a product that becomes visible later
always has a later date, and no two products share a millisecond, the resolution that clients see.
"""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.dialects.postgresql import insert

from refsys.services.cadip.publish import FAMILIES as SESSION_FAMILIES
from refsys.services.cadip.publish import publish_session_file
from refsys.services.common import logs, process, tracing
from refsys.services.common.bus import Consumer, Producer, RejectedError, run_together
from refsys.services.common.database import lock_transaction, open_database
from refsys.services.common.families import split_storage_path
from refsys.services.common.messages import (
    CATALOG_EVENT,
    COMPRESSION_EVENT,
    Attribute,
    AttributeType,
    CatalogEvent,
    Checksum,
    CompressionEvent,
    Direction,
    iso,
)
from refsys.services.common.reports import published
from refsys.services.common.settings import DatabaseSettings, KafkaSettings, load
from refsys.services.compression.rules import published_as_archive
from refsys.services.distribution.model import product
from refsys.services.distribution.odata.operands import stored_date

LOCK = "refsys publication"
WORKERS = 2
PRODUCTION_TYPE = "systematic_production"
_TYPES: dict[AttributeType, tuple[type, ...]] = {
    AttributeType.STRING: (str,),
    AttributeType.INTEGER: (int,),
    AttributeType.DOUBLE: (float, int),
    AttributeType.BOOLEAN: (bool,),
    AttributeType.DATE: (str,),
}
_NEXT_DATE = text(
    "SELECT greatest(date_trunc('milliseconds', clock_timestamp()), "
    "(SELECT max(publication_date) FROM distribution.product) + interval '1 millisecond')"
)

_PUBLISH = insert(product).on_conflict_do_nothing(index_elements=[product.c.name]).returning(product.c.id)


class Quicklook(BaseModel):
    """A preview image of a product in the object store; `size` in bytes."""

    image: str = Field(pattern=r"^[A-Za-z0-9._-]{1,255}$")
    content_type: str = Field(alias="contentType", pattern=r"^image/[a-z0-9.+-]+$")
    size: int = Field(ge=0)
    storage_path: str = Field(alias="storagePath")


_QUICKLOOKS = TypeAdapter(list[Quicklook])


def main() -> None:
    """Publish until the process is asked to stop."""
    running = process.start("publisher")
    kafka, engine = load(KafkaSettings), open_database(load(DatabaseSettings), running.name)
    consume(running, kafka, engine)
    engine.dispose()


def consume(running: process.Process, kafka: KafkaSettings, engine: Engine) -> None:
    """Publish every event on Kafka until `running` is asked to stop."""

    def catalogued(event: CatalogEvent) -> None:
        if event.product_family in SESSION_FAMILIES:
            publish_session_file(engine, event)
        elif not published_as_archive(event):
            publish(engine, event)
        else:
            tracing.nothing_done()

    def compressed(event: CompressionEvent) -> None:
        if event.compression_direction is Direction.COMPRESS:
            publish(engine, event)
        else:
            tracing.nothing_done()

    direct = Consumer(
        kafka,
        running,
        Producer(kafka, running.name),
        topic=CATALOG_EVENT,
        model=CatalogEvent,
        handle=catalogued,
        workers=WORKERS,
    )
    archives = Consumer(
        kafka,
        running,
        Producer(kafka, running.name),
        topic=COMPRESSION_EVENT,
        model=CompressionEvent,
        handle=compressed,
        group=f"{running.name}-compression",
    )
    run_together(running, [direct, archives])


def publish(engine: Engine, event: CatalogEvent) -> datetime:
    """Publish the product of an event and return its publication date; the same event again changes nothing.

    Raises:
        RejectedError: the event is contradictory, or another content is published under this name.
    """
    values = _values(event)
    with (
        logs.task(
            "PripWorker",
            chain="DISTRIBUTION",
            mission=event.mission_id,
            satellite=event.satellite_id,
            follows=str(event.uid),
            filename=event.key_object_storage,
        ) as task,
        engine.begin() as connection,
    ):
        lock_transaction(connection, LOCK)
        # Asked in a statement of its own: it then sees what the lock's previous holder committed.
        moment: datetime = connection.execute(_NEXT_DATE).scalar_one()
        values["publication_date"] = moment
        values["trace"]["published"] = iso(moment)
        if connection.execute(_PUBLISH, values).first() is None:
            moment = _published(connection, event) or moment
        task.size_bytes = event.product_size_byte
        task.output = published(event, moment)
    return moment


def _published(connection: Connection, event: CatalogEvent) -> datetime | None:
    """Return when the product of the event was published, None if it is not yet."""
    columns = (product.c.id, product.c.content_length, product.c.checksums, product.c.publication_date)
    row = connection.execute(select(*columns).where(product.c.name == event.key_object_storage)).first()
    if row is None:
        return None
    there = {each["algorithm"]: each["value"] for each in row.checksums}
    same = all(there.get(each.algorithm, each.value) == each.value for each in event.checksums)
    if row.id != event.product_id or row.content_length != event.product_size_byte or not same:
        raise RejectedError(
            f"{event.key_object_storage} is already published as {row.id} with {row.content_length} bytes and "
            f"{there}, the event has {event.product_id} with {event.product_size_byte} bytes; "
            "withdraw the published product first if the new one is right"
        )
    moment: datetime = row.publication_date
    return moment


def _values(event: CatalogEvent) -> dict[str, Any]:
    bucket, key = _location(event)
    if event.content_date_end < event.content_date_start:
        raise RejectedError(
            f"contentDateEnd {event.content_date_end} lies before contentDateStart {event.content_date_start}"
        )
    attributes = {each.name: {"type": each.type.value, "value": _attribute(each)} for each in event.attributes}
    return {
        "id": event.product_id,
        "name": event.key_object_storage,
        "content_type": event.content_type,
        "content_length": event.product_size_byte,
        "origin_date": _origin(event),
        "eviction_date": None,
        "content_start": event.content_date_start,
        "content_end": event.content_date_end,
        "checksums": [_checksum(each) for each in event.checksums],
        "production_type": PRODUCTION_TYPE,
        "online": True,
        "footprint": _footprint(event),
        "bucket": bucket,
        "object_key": key,
        "mission": event.mission_id,
        "product_type": attributes.get("productType", {}).get("value"),
        "attributes": attributes,
        "quicklooks": _quicklooks(event),
        "trace": event.trace.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def _location(event: CatalogEvent) -> tuple[str, str]:
    try:
        return split_storage_path(event.storage_path)
    except ValueError as error:
        raise RejectedError(str(error)) from error


def _quicklooks(event: CatalogEvent) -> list[dict[str, Any]]:
    """Return the images of `additionalFields.quicklooks`, each `{image, contentType, size, storagePath}`."""
    try:
        given = _QUICKLOOKS.validate_python(event.additional_fields.get("quicklooks", []))
        places = [split_storage_path(each.storage_path) for each in given]
    except ValueError as error:
        raise RejectedError(f"additionalFields.quicklooks is wrong: {error}") from error
    return [
        {"image": each.image, "contentType": each.content_type, "size": each.size, "bucket": bucket, "key": key}
        for each, (bucket, key) in zip(given, places, strict=True)
    ]


def _origin(event: CatalogEvent) -> datetime | None:
    """Return the product's t0 in the PDGS, which the PRIP shows as OriginDate."""
    given = event.additional_fields.get("t0PdgsDate")
    if given is None:
        return event.trace.station_publication
    return _date("additionalFields.t0PdgsDate", given)


def _footprint(event: CatalogEvent) -> str | None:
    return None if event.footprint is None else json.dumps(event.footprint)


def _checksum(checksum: Checksum) -> dict[str, Any]:
    return checksum.model_dump(mode="json", by_alias=True)


def _attribute(attribute: Attribute) -> str | int | float | bool:
    """Return the value as it is stored, after a check against its type."""
    value = attribute.value
    wrong_bool = isinstance(value, bool) != (attribute.type is AttributeType.BOOLEAN)
    if wrong_bool or not isinstance(value, _TYPES[attribute.type]):
        raise RejectedError(f"attribute {attribute.name}: {value!r} is not of type {attribute.type}")
    if attribute.type is AttributeType.DATE:
        return stored_date(_date(f"attribute {attribute.name}", value))
    return float(value) if attribute.type is AttributeType.DOUBLE else value


def _date(name: str, value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise RejectedError(f"{name}: {value!r} is not a date of ISO 8601") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
