"""The set DeletedProducts (reference-system.md §3.5): what was published once and is no more, and why."""

from typing import Any
from uuid import UUID

from sqlalchemy import Column, RowMapping, or_, select
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.distribution.delivery.model import deleted_product
from refsys.services.distribution.model import product
from refsys.services.distribution.odata.entities import EntitySet, over
from refsys.services.distribution.odata.operands import Kind
from refsys.services.distribution.odata.properties import PROPERTIES
from refsys.services.distribution.odata.query import Shape
from refsys.services.distribution.odata.serialise import product_json, timestamp

_COLUMNS = {
    "Id": "id",
    "Name": "name",
    "ContentType": "content_type",
    "ContentLength": "content_length",
    "OriginDate": "origin_date",
    "PublicationDate": "publication_date",
    "ContentDate/Start": "content_start",
    "ContentDate/End": "content_end",
    "Collection/Name": "mission",
}

DELETED_PRODUCTS = EntitySet(
    "DeletedProducts",
    deleted_product,
    {
        **{name: (PROPERTIES[name].kind, deleted_product.c[column]) for name, column in _COLUMNS.items()},
        "DeletionDate": (Kind.DATE, deleted_product.c.deletion_date),
        "DeletionCause": (Kind.TEXT, deleted_product.c.deletion_cause),
    },
    order="DeletionDate",
    expandable=("Attributes",),
    like_product=True,
)


def known(product_id: Column[UUID], visible: ColumnElement[bool] | None) -> list[ColumnElement[bool]]:
    """Return the conditions under which the product of an Id is, or was, one that a user may see."""
    if visible is None:
        return []
    published = select(product.c.id).where(product.c.id == product_id, visible)
    deleted = select(deleted_product.c.id).where(deleted_product.c.id == product_id, over(deleted_product, visible))
    return [or_(published.correlate(product_id.table).exists(), deleted.correlate(product_id.table).exists())]


def deleted_json(row: RowMapping, expand: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return one deleted product: a product without its stream, with date and cause of its deletion."""
    shown = product_json(row, Shape(expand), root="")
    for gone in ("@odata.mediaContentType", "Online", "EvictionDate"):
        del shown[gone]
    return shown | {"DeletionDate": timestamp(row["deletion_date"]), "DeletionCause": row["deletion_cause"]}
