"""Taking a product off the PRIP, for the lifecycle: eviction, withdrawal of a wrong product."""

from uuid import UUID

from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.logs import get_logger
from refsys.services.distribution.delivery import recalls
from refsys.services.distribution.delivery.model import deleted_product
from refsys.services.distribution.model import product

LOCK = "refsys deletion"
MAX_CAUSE = 200
_NEXT_DATE = text(
    "SELECT greatest(date_trunc('milliseconds', clock_timestamp()), "
    "(SELECT max(deletion_date) FROM distribution.deleted_product) + interval '1 millisecond')"
)

log = get_logger()


def delete_product(connection: Connection, product_id: UUID, cause: str) -> bool:
    """Move a product from Products to DeletedProducts; False if it is not (or no longer) published.

    All in the caller's transaction: a client sees the product in one of both sets, subscribers are notified, open
    orders of the product fail. The object in the store is not touched. `cause` is shown to users as DeletionCause.
    """
    if not cause.strip() or len(cause) > MAX_CAUSE:
        raise ValueError(f"the cause of a deletion has 1 to {MAX_CAUSE} characters, not {len(cause)}")
    # Held until the commit: deletion dates rise in the order in which deletions become visible.
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(LOCK, 0))))
    row = connection.execute(select(product).where(product.c.id == product_id).with_for_update()).mappings().first()
    if row is None:
        return False
    kept = {column.name: row[column.name] for column in deleted_product.c if column.name in row}
    kept |= {"deletion_date": connection.execute(_NEXT_DATE).scalar_one(), "deletion_cause": cause}
    again = insert(deleted_product).values(kept)
    connection.execute(again.on_conflict_do_update(index_elements=[deleted_product.c.id], set_=kept))
    recalls.give_up(connection, product_id, f"the product was deleted: {cause}")
    connection.execute(product.delete().where(product.c.id == product_id))
    log.info("product deleted from the PRIP", product=row["name"], product_id=str(product_id), cause=cause)
    return True
