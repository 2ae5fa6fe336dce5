"""Made-up published products in any number, as rows for `COPY distribution.product`.

Their names, attributes and sensing periods have the shape and the spread of the real ones; row `n` is always the same.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from uuid import UUID

import psycopg
import shapely

FIRST = datetime(2022, 1, 1, tzinfo=UTC)
COLUMNS = (
    "id", "name", "content_type", "content_length", "origin_date", "publication_date", "content_start",
    "content_end", "checksums", "production_type", "online", "footprint", "bucket", "object_key", "mission",
    "product_type", "attributes", "trace",
)  # fmt: skip
SECONDS_BETWEEN = 30
BLOCK = 50_000
COMPACT = "%Y%m%dT%H%M%S"
ISO = "%Y-%m-%dT%H:%M:%S.%fZ"
# Product type: (mission, processing level, operational mode, how often, seconds of sensing)
TYPES: dict[str, tuple[str, int, str, int, int]] = {
    "IW_RAW__0S": ("S1", 0, "IW", 14, 30),
    "IW_SLC__1S": ("S1", 1, "IW", 12, 28),
    "IW_GRDH_1S": ("S1", 1, "IW", 12, 28),
    "EW_GRDM_1S": ("S1", 1, "EW", 6, 60),
    "WV_OCN__2S": ("S1", 2, "WV", 3, 900),
    "AUX_RESORB": ("S1", -1, "", 3, 12_000),
    "AUX_POEORB": ("S1", -1, "", 1, 93_600),
    "AUX_WND": ("S1", -1, "", 2, 10_800),
    "MSI_L0__GR": ("S2", 0, "INS-NOBS", 14, 4),
    "MSI_L1C_TL": ("S2", 1, "INS-NOBS", 12, 10),
    "MSI_L2A_TL": ("S2", 2, "INS-NOBS", 12, 10),
    "AUX_ECMWFD": ("S2", -1, "", 1, 43_200),
    "OL_1_EFR___": ("S3", 1, "Earth Observation", 6, 180),
    "SL_1_RBT___": ("S3", 1, "Earth Observation", 6, 180),
    "SR_2_LAN___": ("S3", 2, "Earth Observation", 3, 3000),
    "AX___BA__AX": ("S3", -1, "", 1, 86_400),
}
_KINDS, _WEIGHTS = list(TYPES), [each[3] for each in TYPES.values()]


def fill(server: str, number: int) -> None:
    """Copy `number` products into the empty table; its secondary indexes are made again afterwards.

    `server` is libpq's connection string. As many processes work as there are processors.
    """
    with psycopg.connect(server, autocommit=True) as connection, ProcessPoolExecutor() as pool:
        indexes = connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indrelid = 'distribution.product'::regclass AND NOT indisunique"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        list(pool.map(partial(_copy, server, number), range(0, number, BLOCK)))
        list(pool.map(partial(_make, server), [str(definition) for _, definition in indexes]))
        connection.execute("VACUUM ANALYZE distribution.product")


def _copy(server: str, number: int, first: int) -> None:
    statement = f"COPY distribution.product ({','.join(COLUMNS)}) FROM STDIN".encode()
    with psycopg.connect(server) as connection, connection.cursor().copy(statement) as copy:
        for row in _rows(first, min(first + BLOCK, number)):
            copy.write_row(row)


def _make(server: str, index: str) -> None:
    with psycopg.connect(server) as connection:
        connection.execute("SET maintenance_work_mem = '1GB'")
        connection.execute(index.encode())


def _rows(first: int, end: int) -> Iterator[tuple[object, ...]]:
    """Products in the order of their publication, one each half minute from `FIRST`."""
    random = Random(first)  # noqa: S311 - the same products each time
    for n in range(first, end):
        kind = random.choices(_KINDS, _WEIGHTS)[0]
        yield _row(n, kind, random)


@dataclass(frozen=True)
class _Scene:
    """What one product is of."""

    n: int
    kind: str
    satellite: str
    start: datetime
    end: datetime
    published: datetime


def _row(n: int, kind: str, random: Random) -> tuple[object, ...]:
    mission, level, _, _, seconds = TYPES[kind]
    published = FIRST + timedelta(seconds=SECONDS_BETWEEN * n)
    satellite = mission + random.choice("ABC")
    start = published - timedelta(seconds=random.randrange(7200, 40_000), microseconds=random.randrange(10**6))
    scene = _Scene(n, kind, satellite, start, start + timedelta(seconds=seconds), published)
    name, size = _name(scene), random.randrange(10_000, 2_000_000_000)
    outline = _footprint(random) if level >= 0 else None
    checksum = [{"algorithm": "MD5", "value": f"{n:032x}", "checksumDate": published.strftime(ISO)}]
    bucket = f"rs-{mission.lower()}-{'aux' if level < 0 else f'l{level}'}"
    return (
        UUID(int=random.getrandbits(128)), name, "application/octet-stream", size, published, published, start,
        scene.end, json.dumps(checksum), "systematic_production", True, outline, bucket, name, mission, kind,
        json.dumps(_attributes(scene, random)), "{}",
    )  # fmt: skip


def _name(scene: _Scene) -> str:
    n, kind, satellite = scene.n, scene.kind, scene.satellite
    first, last, made = (each.strftime(COMPACT) for each in (scene.start, scene.end, scene.published))
    unique = f"{n:06X}"
    if satellite[1] == "3":
        return f"{satellite}_{kind}_{first}_{last}_{made}_{unique}___________PS1_O_NR____.SEN3.zip"
    if satellite[1] == "2":
        return f"{satellite}_OPER_{kind}_2BPS_{made}_S{first}_A{n % 60_000:06d}_{unique}.tar"
    if kind.startswith("AUX"):
        return f"{satellite}_OPER_{kind}_OPOD_{made}_V{first}_{last}_{unique}.EOF"
    return f"{satellite}_{kind}DV_{first}_{last}_{n % 60_000:06d}_{unique}_{n % 65_536:04X}.SAFE.zip"


def _attributes(scene: _Scene, random: Random) -> dict[str, dict[str, object]]:
    n = scene.n
    mission, level, mode, _, _ = TYPES[scene.kind]
    values: dict[str, str | int | float] = {
        "productType": scene.kind,
        "platformShortName": f"SENTINEL-{mission[1]}",
        "platformSerialIdentifier": scene.satellite,
        "processingCenter": random.choice(("S1 PDGS", "LN1", "CBRD", "WERL")),
        "processorName": f"{mission} processor",
        "processorVersion": f"{1 + n // 300_000}.{n // 20_000 % 15}",
    }
    if level >= 0:
        values |= {
            "processingLevel": f"L{level}",
            "operationalMode": mode,
            "orbitDirection": random.choice(("ASCENDING", "DESCENDING")),
            "timeliness": random.choice(("NRT", "Fast-24h", "Fast-24h")),
            "orbitNumber": 40_000 + n // 200,
            "relativeOrbitNumber": 1 + n // 200 % 175,
        }
    if mission == "S1" and level >= 0:
        values |= {
            "datatakeID": str(200_000 + n // 20),
            "polarisationChannels": "VV,VH",
            "instrumentShortName": "SAR",
            "swathIdentifier": mode,
            "sliceNumber": 1 + n % 20,
            "totalSlices": 20,
        }
    if mission == "S2" and level >= 0:
        tile = f"{1 + random.randrange(60):02d}{random.choice('CDEFGHJKLMNPQRSTUVWX')}{random.choice('ABCDEF')}A"
        group = f"GS{scene.satellite}_{n // 50}"
        values |= {"tileId": tile, "datastripId": f"DS_{n // 50}", "productGroupId": group}
    if mission == "S2" and level >= 1:
        values["cloudCover"] = round(random.uniform(0, 100), 3)
    names = {str: "String", int: "Integer", float: "Double"}
    attributes: dict[str, dict[str, object]] = {
        key: {"type": names[type(value)], "value": value} for key, value in values.items()
    }
    dates = {"beginningDateTime": scene.start, "endingDateTime": scene.end, "processingDate": scene.published}
    for key, moment in dates.items():
        attributes[key] = {"type": "DateTimeOffset", "value": moment.strftime(ISO)}
    return attributes


def _footprint(random: Random) -> str:
    """A scene of two to three degrees, as EWKB."""
    west, south = random.uniform(-178, 174), random.uniform(-70, 70)
    outline = shapely.Polygon(
        [(west, south), (west + 3, south + 0.5), (west + 2.6, south + 2.2), (west - 0.4, south + 1.7)]
    )
    return str(shapely.to_wkb(shapely.set_srid(outline, 4326), hex=True, include_srid=True))
