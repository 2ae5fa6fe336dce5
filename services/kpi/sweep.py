"""What lines did not tell: files and products in the chain's own tables that the KPI tables don't have.

A node that burns down takes lines with it that nobody has read. Its products are in the database all the same.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text

from refsys.services.common.families import ZIP
from refsys.services.common.messages import Trace, utc_now
from refsys.services.kpi.facts import Facts

SETTLE = timedelta(minutes=2)  # lines come within seconds; the latest are left to them
LIMIT = 5000

_PRODUCTS = text("""
SELECT p.id, p.name, p.mission, p.publication_date, p.origin_date AS t0, p.trace,
       c.name AS source, c.family, c.station, c.satellite, c.timeliness
FROM distribution.product p LEFT JOIN catalogue.product c ON c.id = p.id
WHERE p.publication_date BETWEEN :since AND :until
  AND NOT EXISTS (SELECT FROM monitoring.product m WHERE m.id = p.id)
ORDER BY p.publication_date LIMIT :limit
""")
_SESSION_FILES = text("""
SELECT f.id, f.name, f.mission, f.publication_date, NULL::timestamptz AS t0, c.trace,
       f.name AS source, c.family, c.station, c.satellite, c.timeliness
FROM distribution.session_file f JOIN catalogue.product c ON c.id = f.id
WHERE f.publication_date BETWEEN :since AND :until
  AND NOT EXISTS (SELECT FROM monitoring.product m WHERE m.id = f.id)
ORDER BY f.publication_date LIMIT :limit
""")
# What is not taken, or was left out by the sampling, is not expected to come in.
_INPUTS = text("""
SELECT i.name, i.mission, i.station_code, i.family, i.publication_date, i.seen
FROM ingestion.inbox_entry i
WHERE i.seen BETWEEN :since AND :until AND i.state <> 'FILTERED' AND i.family <> ''
  AND NOT EXISTS (
    SELECT FROM monitoring.external_input e
    WHERE e.filename = i.name AND e.station = i.station_code AND e.family = i.family
  )
ORDER BY i.seen LIMIT :limit
""")


def untold(engine: Engine, facts: Facts, back: timedelta) -> int:
    """Add what is not in the tables, at most `LIMIT` of each kind; returns how many."""
    now = utc_now()
    between = {"since": now - back, "until": now - SETTLE, "limit": LIMIT}
    with engine.connect() as connection:
        inputs = connection.execute(_INPUTS, between).mappings().all()
        published = [
            *connection.execute(_PRODUCTS, between).mappings(),
            *connection.execute(_SESSION_FILES, between).mappings(),
        ]
    for row in inputs:
        facts.seen(
            filename=row["name"],
            mission=row["mission"],
            station=row["station_code"],
            family=row["family"],
            pickup_point_seen_date=row["seen"],
            pickup_point_available_date=row["publication_date"],
        )
    for row in published:
        family = row["family"] or ""
        archive = family and row["source"] != row["name"]
        facts.published(
            row["id"],
            row["name"],
            row["mission"],
            row["satellite"] or row["mission"],
            row["station"] or "",
            family + ZIP if archive else family,
            row["timeliness"] or "",
            _dates(row),
        )
    return len(inputs) + len(published)


def _dates(row: Mapping[str, Any]) -> dict[str, datetime | None]:
    trace = Trace.model_validate(row["trace"])
    return {
        "pickup_point_seen_date": trace.seen,
        "pickup_point_available_date": trace.station_publication,
        "ingestion_date": trace.stored,
        "catalog_storage_date": trace.catalogued,
        "prip_storage_date": row["publication_date"],
        "t0_pdgs_date": row["t0"] or trace.station_publication,
    }
