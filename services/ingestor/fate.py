"""What became of uploads: their own states, then what the ingestion, the catalogue and the distribution know."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, RowMapping, Text, and_, cast, select

from refsys.services.catalogue.tables import INVALID, Product
from refsys.services.common.messages import iso
from refsys.services.compression.rules import rule_of
from refsys.services.distribution.model import product
from refsys.services.ingestion.tables import QUARANTINED, STORED, InboxEntry
from refsys.services.ingestor.rules import STATION
from refsys.services.ingestor.tables import ACCEPTED, REFUSED, Upload

INGESTED, CATALOGUED, PUBLISHED = "INGESTED", "CATALOGUED", "PUBLISHED"
_TIMES = ("created", "received", "checked", "accepted", "refused")


def handed_over(row: RowMapping) -> str:
    """The key of an accepted upload in the bucket of uploads, by which the ingestion knows it."""
    return f"{row['id']}/{row['name']}"


def ingestion_of() -> ColumnElement[bool]:
    """The condition that joins an upload with what the ingestion knows of it."""
    key = cast(Upload.id, Text) + "/" + Upload.name
    return and_(InboxEntry.station == STATION, InboxEntry.product_id == key)


def fates(engine: Engine, *conditions: ColumnElement[bool], limit: int, skip: int = 0) -> list[dict[str, Any]]:
    """The uploads that satisfy the conditions, the newest first, as users see them."""
    ingestion = (
        InboxEntry.state.label("inbox_state"),
        InboxEntry.reason.label("inbox_reason"),
        InboxEntry.updated.label("inbox_updated"),
        InboxEntry.family,
    )
    catalogue = (
        Product.state.label("catalogue_state"),
        Product.reason.label("catalogue_reason"),
        Product.modified.label("catalogued"),
    )
    statement = (
        select(*Upload.__table__.columns, *ingestion, *catalogue)
        .outerjoin(InboxEntry, ingestion_of())
        .outerjoin(Product, and_(Product.name == Upload.name, InboxEntry.state == STORED))
        .where(*conditions)
        .order_by(Upload.created.desc(), Upload.id)
        .limit(limit)
        .offset(skip)
    )
    with engine.connect() as connection:
        rows = connection.execute(statement).mappings().all()
        names = {_published_name(row) for row in rows if row["inbox_state"] == STORED}
        columns = (product.c.name, product.c.id, product.c.publication_date)
        found = connection.execute(select(*columns).where(product.c.name.in_(names))).all() if names else []
    published = {name: (identifier, moment) for name, identifier, moment in found}
    return [_fate(row, published) for row in rows]


def _published_name(row: RowMapping) -> str:
    """The name in the PRIP: that of the archive, where users get one."""
    rule = rule_of(row["family"], row["name"])
    name: str = row["name"]
    return rule.output_key(name) if rule else name


def _fate(row: RowMapping, published: Mapping[str, tuple[UUID, datetime]]) -> dict[str, Any]:
    state, reason = row["state"], row["reason"]
    times = {name: row[name] for name in _TIMES}
    identifier: UUID | None = None
    if state == ACCEPTED and row["inbox_state"] == QUARANTINED:
        state, reason, times["refused"] = REFUSED, f"ingestion: {row['inbox_reason']}", row["inbox_updated"]
    elif state == ACCEPTED and row["inbox_state"] == STORED:
        state, times["ingested"] = INGESTED, row["inbox_updated"]
        if row["catalogue_state"] is not None:
            state, reason, times["catalogued"] = CATALOGUED, row["catalogue_reason"], row["catalogued"]
        if row["catalogue_state"] == INVALID:
            state = INVALID
        elif _published_name(row) in published:
            identifier, times["published"] = published[_published_name(row)]
            state = PUBLISHED
    elif state == ACCEPTED:
        reason = row["inbox_reason"] or ""
    return {
        "id": str(row["id"]),
        "user": row["user_name"],
        "filename": row["name"],
        "size": row["size"],
        "checksum": {"algorithm": row["algorithm"], "value": row["checksum"]},
        "state": state,
        "reason": reason,
        "expires": iso(row["expires"]),
        "times": {name: iso(moment) for name, moment in times.items() if moment},
        "productId": str(identifier) if identifier else None,
    }


def ingested(engine: Engine) -> Sequence[RowMapping]:
    """Accepted uploads whose object is not needed any more, since the ingestion has stored it."""
    statement = (
        select(Upload.__table__)
        .join(InboxEntry, ingestion_of())
        .where(Upload.state == ACCEPTED, Upload.unstaged.is_(None), InboxEntry.state == STORED)
    )
    with engine.connect() as connection:
        return connection.execute(statement).mappings().all()
