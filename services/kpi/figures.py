"""Figures out of the tables: timeliness and completeness by day, mission, station and level.

A file of a station counts on the day on which it was seen, a product on the day on which it was published. Products of
which an operator said that the cause lies outside of the ground segment (E2E) are left out of the corrected figures.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, text

WAIT = timedelta(hours=1)
"""A file that was seen so long ago and is not published is missing; until then it is under way."""

Row = dict[str, Any]
COUNTS = (
    "expected", "arrived", "missing", "missing_excused", "published", "duplicates",
    "limited", "late", "late_one_day", "late_two_days", "late_three_days", "late_excused",
)  # fmt: skip
GROUP = ("day", "mission", "station", "level")

# A list of session data is read and not published.
_ARRIVED = "(CASE WHEN kind = 'dsib' THEN catalog_storage_date ELSE prip_storage_date END) IS NOT NULL"
# The tasks that did not make something may have been done again, and have made it then.
_STILL_MISSING = """NOT EXISTS (
    SELECT FROM monitoring.processing failed JOIN monitoring.processing again
      ON again.follows_from_task = failed.follows_from_task AND again.name = failed.name
    WHERE failed.uid = m.processing_uid AND again.uid <> failed.uid AND again.status = 'OK'
      AND again.end_date > failed.end_date
)"""
_EXCUSED_MISSING = """EXISTS (
    SELECT FROM monitoring.invalidation_completeness c JOIN monitoring.invalidation i ON i.id = c.parent_id
    WHERE i.responsibility = 'E2E' AND c.missing_id = m.id
)"""
_EXCUSED_LATE = """EXISTS (
    SELECT FROM monitoring.invalidation_timeliness t JOIN monitoring.invalidation i ON i.id = t.parent_id
    WHERE i.responsibility = 'E2E' AND t.product_id = p.id
)"""
_AFTER = "extract(epoch from p.prip_storage_date - p.t0_pdgs_date) - p.timeliness_value_seconds"

_COUNTS = text(f"""
SELECT day, mission, station, level, {", ".join(f"sum({name})::bigint AS {name}" for name in COUNTS)}
FROM (
  SELECT (pickup_point_seen_date AT TIME ZONE 'UTC')::date AS day, mission, station, level,
         count(*) AS expected,
         count(*) FILTER (WHERE {_ARRIVED}) AS arrived,
         count(*) FILTER (WHERE NOT {_ARRIVED} AND pickup_point_seen_date < :overdue) AS missing,
         count(*) FILTER (WHERE NOT {_ARRIVED} AND pickup_point_seen_date < :overdue AND {_EXCUSED_MISSING})
           AS missing_excused,
         0 AS published, 0 AS duplicates, 0 AS limited, 0 AS late, 0 AS late_one_day, 0 AS late_two_days,
         0 AS late_three_days, 0 AS late_excused
  FROM monitoring.external_input m
  WHERE pickup_point_seen_date >= :since AND pickup_point_seen_date < :until
  GROUP BY 1, 2, 3, 4
  UNION ALL
  SELECT (prip_storage_date AT TIME ZONE 'UTC')::date, mission, station, level,
         count(*) FILTER (WHERE NOT external AND NOT duplicate),
         count(*) FILTER (WHERE NOT external AND NOT duplicate),
         0, 0, count(*), count(*) FILTER (WHERE duplicate), count(timeliness_value_seconds),
         count(*) FILTER (WHERE late),
         count(*) FILTER (WHERE late AND {_AFTER} > 86400),
         count(*) FILTER (WHERE late AND {_AFTER} > 172800),
         count(*) FILTER (WHERE late AND {_AFTER} > 259200),
         count(*) FILTER (WHERE late AND {_EXCUSED_LATE})
  FROM monitoring.product p
  WHERE prip_storage_date >= :since AND prip_storage_date < :until
  GROUP BY 1, 2, 3, 4
  UNION ALL
  SELECT (noticed_date AT TIME ZONE 'UTC')::date, mission, station, level,
         sum(estimated_count), 0, sum(estimated_count),
         coalesce(sum(estimated_count) FILTER (WHERE {_EXCUSED_MISSING}), 0), 0, 0, 0, 0, 0, 0, 0, 0
  FROM monitoring.missing_products m
  WHERE noticed_date >= :since AND noticed_date < :until AND {_STILL_MISSING}
  GROUP BY 1, 2, 3, 4
) AS counted
GROUP BY day, mission, station, level ORDER BY day, mission, level, station
""")  # noqa: S608  # parts of its own

_DELAYS = text("""
SELECT mission, level, count(*) AS products,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS median_seconds,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_seconds,
       max(seconds) AS max_seconds
FROM (
  SELECT mission, level, extract(epoch from prip_storage_date - t0_pdgs_date)::float AS seconds
  FROM monitoring.product
  WHERE prip_storage_date >= :since AND prip_storage_date < :until AND t0_pdgs_date IS NOT NULL
) AS delays
GROUP BY mission, level ORDER BY mission, level
""")

_TASKS = text("""
SELECT name, count(*) AS count, count(*) FILTER (WHERE status <> 'OK') AS failed,
       count(*) FILTER (WHERE status IS NULL) AS without_end, avg(duration_seconds) AS mean_seconds
FROM monitoring.processing
WHERE begin_date >= :since AND begin_date < :until
GROUP BY name ORDER BY name
""")

_LATE = text(f"""
SELECT p.id, p.filename, p.mission, p.satellite, p.station, p.level, p.timeliness_name, p.timeliness_value_seconds,
       p.t0_pdgs_date, p.prip_storage_date, ({_AFTER})::float AS late_by_seconds,
       (SELECT max(parent_id) FROM monitoring.invalidation_timeliness t WHERE t.product_id = p.id) AS invalidation
FROM monitoring.product p
WHERE late AND prip_storage_date >= :since AND prip_storage_date < :until
  AND (:mission = '' OR mission = :mission)
ORDER BY prip_storage_date DESC, id OFFSET :offset LIMIT :limit
""")  # noqa: S608

_MISSING = text(f"""
SELECT m.*,
       (SELECT max(parent_id) FROM monitoring.invalidation_completeness c WHERE c.missing_id = m.id) AS invalidation
FROM (
  SELECT id, filename, mission, station, level, pickup_point_seen_date AS noticed_date, 1 AS estimated_count,
         NULL::jsonb AS product_metadata_custom, NULL::uuid AS processing_uid
  FROM monitoring.external_input
  WHERE NOT {_ARRIVED} AND pickup_point_seen_date < :overdue
  UNION ALL
  SELECT id, NULL, mission, station, level, noticed_date, estimated_count, product_metadata_custom, processing_uid
  FROM monitoring.missing_products m WHERE {_STILL_MISSING}
) AS m
WHERE noticed_date >= :since AND noticed_date < :until AND (:mission = '' OR mission = :mission)
ORDER BY noticed_date DESC, id OFFSET :offset LIMIT :limit
""")  # noqa: S608

_DUPLICATES = text("""
SELECT p.id, p.filename, p.mission, p.satellite, p.station, p.level, p.t0_pdgs_date, p.prip_storage_date,
       (SELECT f.filename FROM monitoring.product f WHERE f.identity = p.identity AND NOT f.duplicate LIMIT 1) AS first
FROM monitoring.product p
WHERE duplicate AND prip_storage_date >= :since AND prip_storage_date < :until
  AND (:mission = '' OR mission = :mission)
ORDER BY prip_storage_date DESC, id OFFSET :offset LIMIT :limit
""")
LISTS = {"late": _LATE, "missing": _MISSING, "duplicates": _DUPLICATES}


@dataclass(frozen=True)
class Period:
    """From a time until before another."""

    since: datetime
    until: datetime

    @classmethod
    def of_day(cls, day: date) -> "Period":
        """A day, UTC."""
        since = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return cls(since, since + timedelta(days=1))

    @classmethod
    def of_month(cls, year: int, month: int) -> "Period":
        """A month, UTC."""
        until = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return cls(datetime(year, month, 1, tzinfo=UTC), until)


def figures(connection: Connection, period: Period, now: datetime) -> Row:
    """All figures of a period: the whole, and by day, mission, station and level; delays; tasks."""
    between = {"since": period.since, "until": period.until}
    rows = [dict(row) for row in connection.execute(_COUNTS, between | {"overdue": now - WAIT}).mappings()]
    return {
        "total": with_shares(total(rows)),
        "value": [{**row, "day": row["day"].isoformat()} for row in map(with_shares, rows)],
        "delays": [dict(row) for row in connection.execute(_DELAYS, between).mappings()],
        "tasks": [dict(row) for row in connection.execute(_TASKS, between).mappings()],
    }


def total(rows: list[Row]) -> Row:
    """The sums of counts."""
    return {name: sum(row[name] for row in rows) for name in COUNTS}


def with_shares(row: Row) -> Row:
    """Add the shares in percent; None where there is nothing to share."""
    timely = row["limited"] - row["late"]
    return row | {
        "completeness": _percent(row["arrived"], row["expected"]),
        "completeness_corrected": _percent(row["arrived"], row["expected"] - row["missing_excused"]),
        "timeliness": _percent(timely, row["limited"]),
        "timeliness_corrected": _percent(timely, row["limited"] - row["late_excused"]),
    }


def listed(  # noqa: PLR0917  # query options
    connection: Connection, what: str, period: Period, now: datetime, mission: str, page: int, size: int
) -> list[RowMapping]:
    """One page of what is late, missing or there twice, the latest first."""
    options = {"mission": mission, "offset": page * size, "limit": size, "overdue": now - WAIT}
    between = {"since": period.since, "until": period.until}
    statement = LISTS[what]
    wanted = {name: value for name, value in (options | between).items() if name in statement.compile().params}
    return list(connection.execute(statement, wanted).mappings())


def _percent(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 2) if whole > 0 else None
