"""Made-up products for benchmarks, by the database itself: seven in ten are images with a footprint."""

from sqlalchemy import Connection, Engine, text

_INSERT = text("""
INSERT INTO distribution.product (
  id, name, content_type, content_length, origin_date, publication_date, content_start, content_end, checksums,
  production_type, online, footprint, bucket, object_key, mission, product_type, attributes, trace)
SELECT
  md5(n::text)::uuid, name, 'application/zip', 1000000 + n, published, published, start, start + interval '25 seconds',
  jsonb_build_array(jsonb_build_object('algorithm', 'MD5', 'value', md5(n::text), 'checksumDate', published)),
  'systematic_production', true,
  CASE WHEN kind < 8 THEN ST_MakeEnvelope(west, south, west + 2, south + 2, 4326) END,
  'bucket', name, mission, type,
  jsonb_build_object(
    'productType', jsonb_build_object('type', 'String', 'value', type),
    'platformShortName', jsonb_build_object('type', 'String', 'value', 'SENTINEL-' || substr(mission, 2)),
    'platformSerialIdentifier', jsonb_build_object('type', 'String', 'value', satellite),
    'orbitNumber', jsonb_build_object('type', 'Integer', 'value', 10000 + n / 50),
    'relativeOrbitNumber', jsonb_build_object('type', 'Integer', 'value', 1 + n / 50 % 175),
    'orbitDirection', jsonb_build_object('type', 'String', 'value',
      CASE WHEN n / 50 % 2 = 0 THEN 'ASCENDING' ELSE 'DESCENDING' END),
    'operationalMode', jsonb_build_object('type', 'String', 'value', 'IW'),
    'processingDate', jsonb_build_object('type', 'DateTimeOffset', 'value',
      to_char(published, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
    'processorVersion', jsonb_build_object('type', 'String', 'value', '003.71'),
    'timeliness', jsonb_build_object('type', 'String', 'value', 'NRT-3h'))
  || CASE WHEN mission = 'S2' THEN jsonb_build_object(
    'cloudCover', jsonb_build_object('type', 'Double', 'value', (n * 37 % 10000) / 100.0),
    'tileId', jsonb_build_object('type', 'String',
      'value', 1 + n % 60 || 'T' || chr(65 + (n % 23)::int) || chr(65 + (n % 19)::int)))
    ELSE '{}' END,
  '{}'
FROM (
  SELECT n, kind, mission, type, satellite, start, west, south, start + n * interval '1 millisecond' AS published,
    mission || satellite || '_' || type || '_' || to_char(start, 'YYYYMMDD"T"HH24MISS') || '_' || n || suffix AS name
  FROM (
    SELECT n, n % 10 AS kind, chr(65 + (n / 10 % 2)::int) AS satellite,
      timestamptz '2020-01-01 00:00:00Z' + n * interval '4 years' / :count AS start,
      -170 + n * 7919 % 3400 / 10.0 AS west, -75 + n * 104729 % 1500 / 10.0 AS south
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS n
  ) AS numbered
  JOIN (VALUES
    (0, 'S1', 'IW_GRDH_1S', '.SAFE.zip'), (1, 'S1', 'IW_GRDH_1S', '.SAFE.zip'), (2, 'S1', 'IW_GRDH_1S', '.SAFE.zip'),
    (3, 'S1', 'IW_SLC__1S', '.SAFE.zip'), (4, 'S2', 'MSIL2A', '.SAFE.zip'), (5, 'S2', 'MSIL2A', '.SAFE.zip'),
    (6, 'S2', 'MSIL1C', '.SAFE.zip'), (7, 'S3', 'OL_1_EFR___', '.SEN3.zip'), (8, 'S1', 'AUX_POEORB', '.EOF'),
    (9, 'S1', 'AUX_RESORB', '.EOF')
  ) AS kinds (kind, mission, type, suffix) USING (kind)
) AS made
""")
_INDEXES = text("""
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
FROM pg_index LEFT JOIN pg_constraint ON conindid = indexrelid
WHERE indrelid = 'distribution.product'::regclass AND conindid IS NULL
""")
BATCH = 100_000


def fill(engine: Engine, count: int) -> None:
    """Insert `count` products into the empty table, then make its indexes again and gather statistics."""
    with engine.begin() as connection:
        indexes = connection.execute(_INDEXES).all()
        for index in indexes:
            connection.execute(text(f"DROP INDEX {index.name}"))
        for first in range(1, count + 1, BATCH):
            _insert(connection, first, min(first + BATCH - 1, count), count)
        connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        for index in indexes:
            connection.execute(text(index.definition))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE distribution.product"))


def _insert(connection: Connection, first: int, last: int, count: int) -> None:
    connection.execute(_INSERT, {"first": first, "last": last, "count": count})
