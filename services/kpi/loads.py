"""What each mission's chain takes: products of the last day, bytes in the object store; costs are shared by them."""

from prometheus_client import Gauge
from sqlalchemy import Connection, Engine, TextClause, text

STORED = Gauge("refsys_stored_bytes", "Bytes of products in the object store, by mission", ["mission"])
PRODUCTS = Gauge("refsys_products_of_day", "Products published in the last 24 hours, by mission", ["mission"])

# What came in lies there under its own name; archives made of it are known to the PRIP alone.
_STORED = text("""
SELECT mission, sum(size) FROM (
  SELECT mission, size FROM catalogue.product WHERE state <> 'LOST'
  UNION ALL
  SELECT p.mission, p.content_length FROM distribution.product p LEFT JOIN catalogue.product c ON c.id = p.id
  WHERE p.online AND c.name IS DISTINCT FROM p.name
) AS there GROUP BY mission
""")
_PRODUCTS = text("""
SELECT mission, count(*) FROM monitoring.product WHERE prip_storage_date > now() - interval '1 day' GROUP BY mission
""")


def measure(engine: Engine) -> None:
    """Set the figures; a mission that has nothing any more has none."""
    with engine.connect() as connection:
        _set(connection, STORED, _STORED)
        _set(connection, PRODUCTS, _PRODUCTS)


def _set(connection: Connection, gauge: Gauge, statement: TextClause) -> None:
    found = connection.execute(statement).all()
    gauge.clear()
    for mission, value in found:
        gauge.labels(mission or "other").set(float(value))
