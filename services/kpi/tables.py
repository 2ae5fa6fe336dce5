"""Tables of the schema `monitoring`, with the names of the interface description (§2.6)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Integer,
    Table,
    Text,
    Uuid,
    false,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from refsys.services.common.database import Base

SCHEMA = "monitoring"
PDGS, E2E = "PDGS", "E2E"
LATE = "coalesce(extract(epoch from prip_storage_date - t0_pdgs_date) > timeliness_value_seconds, false)"

Time = DateTime(timezone=True)
Name = Text(collation="C")

# A file of a station, and when it reached each step. The views `dsib`, `chunk` and `aux_data` show it by kind.
external_input = Table(
    "external_input",
    Base.metadata,
    # Made of station, family and filename.
    Column("id", Uuid, primary_key=True),
    Column("filename", Name, nullable=False),
    Column("mission", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("level", Text, nullable=False),
    # dsib, chunk, aux_data or product
    Column("kind", Text, nullable=False),
    Column("session_id", Text),
    Column("channel", Integer),
    Column("pickup_point_seen_date", Time, nullable=False),
    Column("pickup_point_available_date", Time),
    Column("ingestion_date", Time),
    Column("catalog_storage_date", Time),
    Column("prip_storage_date", Time),
    schema=SCHEMA,
)

# A published product; the id is that of the PRIP.
product = Table(
    "product",
    Base.metadata,
    Column("id", Uuid, primary_key=True),
    Column("filename", Name, nullable=False),
    Column("mission", Text, nullable=False),
    Column("satellite", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("level", Text, nullable=False),
    # Came from a station as it is.
    Column("external", Boolean, nullable=False),
    Column("timeliness_name", Text),
    Column("timeliness_value_seconds", Integer),
    Column("end_to_end_product", Boolean, nullable=False),
    # What a product made again has in common with the first one.
    Column("identity", Name),
    Column("duplicate", Boolean, nullable=False, server_default=false()),
    Column("t0_pdgs_date", Time),
    Column("prip_storage_date", Time, nullable=False),
    Column("late", Boolean, Computed(LATE, persisted=True), nullable=False),
    schema=SCHEMA,
)

# A task of a service; without an end it runs, or was killed and came again under another uid.
processing = Table(
    "processing",
    Base.metadata,
    Column("uid", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("mission", Text, nullable=False),
    Column("satellite", Text, nullable=False),
    Column("rs_chain_name", Text, nullable=False),
    Column("rs_chain_version", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("follows_from_task", Text),
    Column("filename", Text),
    Column("begin_date", Time),
    Column("end_date", Time),
    Column("status", Text),
    Column("error_code", Integer),
    Column("duration_seconds", Float),
    Column("data_volume_mebibytes", Float),
    schema=SCHEMA,
)


def _listed(name: str) -> Table:
    return Table(
        name,
        Base.metadata,
        Column("processing_uid", Uuid, primary_key=True),
        Column("filename", Name, primary_key=True),
        schema=SCHEMA,
    )


# Inputs and outputs of the tasks that tell of several.
input_list_external = _listed("input_list_external")
input_list_internal = _listed("input_list_internal")
output_list = _listed("output_list")

# What a task should have made and did not.
missing_products = Table(
    "missing_products",
    Base.metadata,
    # Made of the task's uid and the place in its line.
    Column("id", Uuid, primary_key=True),
    Column("processing_uid", Uuid, nullable=False),
    Column("mission", Text, nullable=False),
    Column("station", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("noticed_date", Time, nullable=False),
    Column("product_metadata_custom", JSONB, nullable=False),
    Column("end_to_end_product", Boolean, nullable=False),
    Column("estimated_count", Integer, nullable=False),
    schema=SCHEMA,
)

invalidation = Table(
    "invalidation",
    Base.metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("responsibility", Text, nullable=False),
    Column("root_cause", Text, nullable=False),
    Column("anomaly_identifier", Text, nullable=False, server_default=""),
    Column("label", Text, nullable=False, server_default=""),
    Column("operator_name", Text, nullable=False),
    Column("update_date", Time, nullable=False, server_default=func.now()),
    schema=SCHEMA,
)


def _invalidated(name: str, column: str) -> Table:
    parent = ForeignKey(f"{SCHEMA}.invalidation.id", ondelete="CASCADE")
    return Table(
        name,
        Base.metadata,
        Column("parent_id", BigInteger, parent, primary_key=True),
        Column(column, Uuid, primary_key=True),
        schema=SCHEMA,
    )


invalidation_timeliness = _invalidated("invalidation_timeliness", "product_id")
# A row of `missing_products`, or a file of a station that did not come in.
invalidation_completeness = _invalidated("invalidation_completeness", "missing_id")
