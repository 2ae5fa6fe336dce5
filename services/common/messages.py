"""The messages on Kafka, with the field names of the chain's interface documents (docs/architecture.md)."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from refsys.services.common.families import Family

INGESTION_JOB = "ingestion-job"
CATALOG_JOB = "catalog-job"
CATALOG_EVENT = "catalog-event"
COMPRESSION_JOB_HIGH = "compression-job-high"
COMPRESSION_JOB_MEDIUM = "compression-job-medium"
COMPRESSION_JOB_LOW = "compression-job-low"
COMPRESSION_JOBS = (COMPRESSION_JOB_HIGH, COMPRESSION_JOB_MEDIUM, COMPRESSION_JOB_LOW)
COMPRESSION_EVENT = "compression-event"
EXECUTION_JOB = "execution-job"
ERROR_WARNING = "error-warning"
TOPICS = (INGESTION_JOB, CATALOG_JOB, CATALOG_EVENT, *COMPRESSION_JOBS, COMPRESSION_EVENT, EXECUTION_JOB, ERROR_WARNING)

RESTART = "RESTART"
RESUBMIT = "RESUBMIT"

CHAIN_VERSION = "0.1.0"


def utc_now() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """The form of timestamps in messages, traces and logs: UTC, microseconds, `Z`."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def product_trace(key: str, *, retransferred: bool = False) -> str:
    """The id of a product's trace, 32 hexadecimal digits, by its key in the object store.

    A session's file that the station delivers once more lies under the same key in another bucket: it has its own.
    """
    name = f"RETRANSFER/{key}" if retransferred else key
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16, person=b"refsys trace").hexdigest()


Timestamp = Annotated[AwareDatetime, PlainSerializer(iso, return_type=str, when_used="json")]


class Model(BaseModel):
    """Base of everything in a message: camelCase on the wire, unknown fields ignored for later versions."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class Checksum(Model):
    """A checksum of the product, algorithm named as in PRIP (`MD5`, `SHA-256`)."""

    algorithm: str
    value: str
    checksum_date: Timestamp


class Trace(Model):
    """The timeline of a product; each step adds the time it was reached."""

    station_publication: Timestamp | None = None
    seen: Timestamp | None = None
    stored: Timestamp | None = None
    catalogued: Timestamp | None = None
    published: Timestamp | None = None
    trace_id: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    """Of the product's trace (docs/traces.md): that of the product which an archive was made of."""


class AttributeType(StrEnum):
    """Types of a PRIP attribute's value."""

    STRING = "String"
    INTEGER = "Integer"
    DOUBLE = "Double"
    BOOLEAN = "Boolean"
    DATE = "DateTimeOffset"


class Attribute(Model):
    """A PRIP attribute; a `DateTimeOffset` value is ISO 8601 text in UTC."""

    name: str
    type: AttributeType
    value: str | int | float | bool


class Message(Model):
    """The common part of all messages."""

    uid: UUID = Field(default_factory=uuid4)
    creation_date: Timestamp = Field(default_factory=utc_now)
    schema_version: Literal[1] = 1
    rs_chain_version: str = CHAIN_VERSION
    mission_id: str
    satellite_id: str
    key_object_storage: str
    storage_path: str
    product_family: str
    pod_name: str = ""
    allowed_actions: list[str] = Field(default_factory=lambda: [RESTART])
    retry_counter: int = 0
    demand_type: str = "NOMINAL"
    debug: bool = False
    timeliness: str = ""
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    additional_fields: Mapping[str, Any] = Field(default_factory=dict)

    def key(self) -> str:
        """The Kafka key: the product name, so that all events of a product keep their order."""
        return self.key_object_storage

    def trace_id(self) -> str:
        """The id of the product's trace: as it is known, else by the product's name."""
        known = getattr(self, "trace", None)
        retransferred = self.product_family == Family.SESSION_RETRANSFER
        return (known and known.trace_id) or product_trace(self.key_object_storage, retransferred=retransferred)


class IngestionJob(Message):
    """A file seen at a station, to be fetched.

    `source_name` is the station's name in the stations file, `station_name` the code of the file's inbox;
    `product_size_byte` is null where the station doesn't tell it before the download.
    """

    pickup_base_url: str = Field(alias="pickupBaseURL")
    inbox_type: str = "auxip"
    relative_path: str
    product_name: str
    product_size_byte: int | None = Field(ge=0)
    station_name: str
    source_name: str
    mode: str = "NOMINAL"
    last_modified: Timestamp
    additional_metadata: Mapping[str, Any] = Field(default_factory=dict)
    checksums: list[Checksum] = Field(default_factory=list)
    trace: Trace = Field(default_factory=Trace)


class CatalogJob(Message):
    """A file that lies in the object store, to be catalogued."""

    allowed_actions: list[str] = Field(default_factory=lambda: [RESTART, RESUBMIT])
    product_size_byte: int = Field(ge=0)
    oqc_flag: str = "NOT_CHECKED"
    station_name: str
    checksums: list[Checksum]
    trace: Trace


class CatalogEvent(CatalogJob):
    """A catalogued product, to be published."""

    product_id: UUID
    content_date_start: Timestamp
    content_date_end: Timestamp
    footprint: dict[str, Any] | None = None
    attributes: list[Attribute]
    content_type: str


class Direction(StrEnum):
    """What a compression job does."""

    COMPRESS = "COMPRESS"
    UNCOMPRESS = "UNCOMPRESS"


class CompressionJob(CatalogEvent):
    """A catalogued product, and the archive to be made of it (or the other way round)."""

    output_product_family: str
    output_key_object_storage: str
    compression_direction: Direction


class CompressionEvent(CompressionJob):
    """A job that is done: key, family (`…_ZIP` for an archive), path, size and checksums are those of its output."""


class FailedProcessing(Model):
    """A message that could not be handled, on `error-warning`, with the message as it was."""

    schema_version: Literal[1] = 1
    id: UUID = Field(default_factory=uuid4)
    topic: str
    partition: int
    offset: int
    key: str
    mission_id: str = ""
    error_level: Literal["ERROR", "WARNING"] = "ERROR"
    failure_date: Timestamp = Field(default_factory=utc_now)
    failure_message: str
    stacktrace: str = ""
    retry_counter: int = 0
    pod_name: str = ""
    message: str
