"""Looking for a job's inputs in the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, select

from refsys.services.catalogue.readers.session import BLOCKS, CHANNEL
from refsys.services.catalogue.tables import Product
from refsys.services.common.families import Family
from refsys.services.common.names import parse_name
from refsys.services.preparation.facts import DATA_TAKE
from refsys.services.preparation.needs import Need, Period, Sought, Subject, shown
from refsys.services.search.policies import MANY, Policy
from refsys.services.search.selection import IS_VALID, selected

LIMIT = 5000
CONSOLIDATION = "productConsolidation"
_IN_PARTS = ("START", "END", "PARTIAL")
_TOUCHING = timedelta(milliseconds=500)
_COLUMNS = [
    getattr(Product, name)
    for name in (
        *("id", "name", "family", "satellite", "product_type", "station", "size", "checksums", "bucket", "key"),
        *("content_start", "content_end", "attributes", "trace", "additional_fields", "timeliness", "details"),
    )
]


@dataclass(frozen=True)
class Found:
    """Products for an alternative; `lacks` says what is missing of it, empty if nothing is."""

    products: Sequence[RowMapping]
    lacks: str = ""


@dataclass(frozen=True)
class Settled:
    """An input that is waited for no longer: with products, or left out."""

    need: Need
    products: Sequence[RowMapping]
    lacks: str = ""


@dataclass(frozen=True)
class Waiting:
    """An input that is waited for, until something is decided without it."""

    need: Need
    until: datetime
    lacks: str
    products: Sequence[RowMapping]


def settle(connection: Connection, job: Subject, need: Need, now: datetime, give_up: datetime) -> Settled | Waiting:
    """Whether an input is there; if not, whether it is still waited for."""
    first = find(connection, job, need.alternatives[0])
    if not first.lacks:
        return Settled(need, first.products)
    if need.wait_end is not None and now < min(need.wait_end, give_up):
        return Waiting(need, min(need.wait_end, give_up), first.lacks, first.products)
    others = [find(connection, job, each) for each in need.alternatives[1:]]
    for other in others:
        if not other.lacks:
            return Settled(need, other.products)
    if need.partial and (need.wait_end is not None or now >= give_up):
        for some in (first, *others):
            if some.products:
                return Settled(need, some.products, some.lacks)
    if not need.mandatory:
        return Settled(need, [], "; ".join(each.lacks for each in (first, *others)))
    return Waiting(need, give_up, " or ".join(each.lacks for each in (first, *others)), first.products)


def find(connection: Connection, job: Subject, sought: Sought) -> Found:
    """The products of an alternative, as its policy chooses them."""
    if sought.session:
        return _session(connection, job, sought)
    if sought.data_take:
        return _data_take(connection, job, sought)
    if sought.product_id is not None:
        rows = _rows(connection, select(*_COLUMNS).where(Product.id == sought.product_id, IS_VALID))
        return Found(rows, "" if rows else f"the product {job.facts.name}, which is not in the catalogue any more")
    return _chosen(connection, job, sought, sought.policy or Policy.LATEST_COVER)


def _chosen(connection: Connection, job: Subject, sought: Sought, policy: Policy) -> Found:
    conditions: list[ColumnElement[bool]] = [
        Product.product_type == sought.product_types[0],
        Product.family == sought.families[0],
        Product.satellite.in_((job.satellite, job.mission)),
        *(_same(name, value) for name, value in sought.same.items()),
    ]
    if sought.timeliness:
        conditions.append(Product.timeliness == sought.timeliness)
    statement = selected(policy, sought.period.start, sought.period.stop, conditions).with_only_columns(*_COLUMNS)
    rows = _rows(connection, statement.limit(LIMIT) if policy in MANY else statement)
    what = f"{sought.product_types[0]} of {job.satellite} ({policy}, {sought.period})"
    if not rows:
        return Found(rows, what)
    if sought.largest_gap_seconds is not None:
        return Found(rows, _gap(rows, sought.period, timedelta(seconds=sought.largest_gap_seconds), what))
    return Found(rows)


def _same(name: str, value: Any) -> ColumnElement[bool]:
    match name:
        case "datatakeID":
            return Product.datatake_id == int(value)
        case "orbitNumber":
            return Product.orbit_start == int(value)
        case _:
            return Product.attributes.contains([{"name": name, "value": value}])


def _gap(rows: Sequence[RowMapping], period: Period, largest: timedelta, what: str) -> str:
    """What is missing between products over a period; empty if nothing is."""
    reached = period.start
    for row in rows:
        if row["content_start"] - reached > largest:
            return f"{what}: none between {shown(reached)} and {shown(row['content_start'])}"
        reached = max(reached, row["content_end"])
    if period.stop - reached > largest:
        return f"{what}: none after {shown(reached)}"
    return ""


def _session(connection: Connection, job: Subject, sought: Sought) -> Found:
    """The files of a session: of each channel its information block, and all blocks that it names."""
    conditions = (Product.session_id == sought.session, Product.family.in_(sought.families), IS_VALID)
    statement = select(*_COLUMNS).where(*conditions).order_by(Product.name).limit(LIMIT)
    files: dict[str, RowMapping] = {}
    # What the station sent once more stands in for what did not come.
    for row in sorted(_rows(connection, statement), key=lambda row: row["family"] == Family.EDRS_SESSION):
        files[PurePosixPath(row["key"]).name] = row
    blocks = [row for row in files.values() if row["product_type"] == "DSIB"]
    lacks = []
    for channel in range(1, sought.channels + 1):
        of_channel = [row for row in blocks if row["details"].get(CHANNEL) == channel]
        if not of_channel:
            lacks.append(f"the information block (DSIB) of channel {channel}")
        missing = {name for row in of_channel for name in row["details"].get(BLOCKS, [])} - files.keys()
        if missing:
            lacks.append(f"{len(missing)} blocks of channel {channel}, the first {min(missing)}")
    told = f"session {sought.session}: {' and '.join(lacks)}" if lacks else ""
    return Found([files[name] for name in sorted(files)], told)


def _data_take(connection: Connection, job: Subject, sought: Sought) -> Found:
    """The segments of a data take: of each polarisation from the first to the last."""
    number = int(job.facts.attributes[DATA_TAKE])
    statement = select(*_COLUMNS).where(
        Product.datatake_id == number,
        Product.satellite == job.satellite,
        Product.product_type.in_(sought.product_types),
        Product.family.in_(sought.families),
        IS_VALID,
    )
    rows = _rows(connection, statement.order_by(Product.content_start, Product.name).limit(LIMIT))
    lacks = [f"segments of data take {number}"] if not rows else []
    for polarisation, group in groupby(sorted(rows, key=_polarisation), _polarisation):
        if told := _lacking(sorted(group, key=lambda row: row["content_start"])):
            lacks.append(f"of data take {number}, polarisation {polarisation}: {told}")
    return Found(rows, "; ".join(lacks))


def _lacking(segments: Sequence[RowMapping]) -> str:
    """What is missing between the first and the last segment of a polarisation."""
    parts = [_attribute(row, CONSOLIDATION) for row in segments]
    if any(part not in _IN_PARTS for part in parts):
        return ""
    if "START" not in parts:
        return "the first segment"
    reached = segments[0]["content_end"]
    for row in segments[1:]:
        if row["content_start"] - reached > _TOUCHING:
            return f"a segment after {shown(reached)}"
        reached = max(reached, row["content_end"])
    return "" if "END" in parts else "the last segment"


def _polarisation(row: RowMapping) -> str:
    return parse_name(row["name"]).fields.get("polarisation", "")


def _attribute(row: RowMapping, name: str) -> Any:
    return next((each["value"] for each in row["attributes"] if each["name"] == name), None)


def _rows(connection: Connection, statement: Any) -> Sequence[RowMapping]:
    rows: Sequence[RowMapping] = connection.execute(statement).mappings().all()
    return rows
