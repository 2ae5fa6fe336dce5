"""What a REPORT line, or the chain's own tables, say of files, products and tasks: rows of the KPI tables."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from refsys.services.common.names import InvalidNameError, parse_name
from refsys.services.kpi.kinds import (
    AUXILIARY,
    OTHER,
    PRODUCED,
    SESSION,
    base_family,
    base_name,
    identity_of,
    kind_of,
    level_of,
)
from refsys.services.kpi.lines import Line
from refsys.services.kpi.timeliness import Limit, limit_of

Row = dict[str, Any]

STEPS = ("pickup_point_available_date", "ingestion_date", "catalog_storage_date", "prip_storage_date")
PUBLISHED, FETCHED, READ = "PripWorker", "IngestionWorker", "MetadataExtraction"
DOWNLOADS = frozenset({"PripTempDownloadUrl", "PripTempQuicklookUrl"})
"""Tasks of users, not of the production: as many as users like, and of no table."""


@dataclass(frozen=True)
class Published:
    """A product that was published, and when it reached each step."""

    row: Row
    steps: dict[str, datetime | None]


@dataclass
class Facts:
    """Rows by table, one a key, however many lines speak of it."""

    limits: Sequence[Limit]
    tasks: dict[UUID, Row] = field(default_factory=dict)
    inputs: dict[UUID, Row] = field(default_factory=dict)
    products: dict[UUID, Published] = field(default_factory=dict)
    missing: dict[UUID, Row] = field(default_factory=dict)
    lists: dict[str, set[tuple[UUID, str]]] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """Take in what a line says."""
        if line.task.name in DOWNLOADS:
            return
        self._task(line)
        if line.task.event == "BEGIN":
            return
        filename, family = line.text("filename"), line.text("family")
        if filename and family:
            self._file(line, filename, family)
        self._missing(line)

    def seen(self, *, filename: str, mission: str, station: str, family: str, **dates: datetime | None) -> None:
        """A file that a station offers, with the steps that it reached."""
        family, filename = base_family(family), base_name(family, filename)
        kind = kind_of(family, filename)
        identifier = uuid5(NAMESPACE_URL, f"urn:refsys:input:{station}:{family}:{filename}")
        row: Row = {
            "id": identifier,
            "filename": filename,
            "mission": mission,
            "station": station,
            "family": family,
            "level": level_of(family),
            "kind": kind.name,
            "session_id": kind.session,
            "channel": kind.channel,
            "pickup_point_seen_date": dates["pickup_point_seen_date"],
            **dict.fromkeys(STEPS),
        }
        _fill(self.inputs.setdefault(identifier, row), dates)

    def published(  # noqa: PLR0917  # what a product is
        self,
        identifier: UUID,
        filename: str,
        mission: str,
        satellite: str,
        station: str,
        family: str,
        timeliness: str,
        dates: dict[str, datetime | None],
    ) -> None:
        """A published product."""
        level = level_of(family)
        limit = limit_of(self.limits, mission, level, timeliness)
        seen = dates.get("pickup_point_seen_date")
        row: Row = {
            "id": identifier,
            "filename": filename,
            "mission": mission,
            "satellite": satellite,
            "station": station,
            "family": family,
            "level": level,
            "external": seen is not None,
            "timeliness_name": limit.name if limit else None,
            "timeliness_value_seconds": limit.seconds if limit else None,
            "end_to_end_product": level in PRODUCED,
            "identity": identity_of(level, filename),
            "t0_pdgs_date": dates.get("t0_pdgs_date"),
            "prip_storage_date": dates["prip_storage_date"],
        }
        self.products.setdefault(identifier, Published(row, {name: dates.get(name) for name in STEPS}))
        if seen is not None:
            steps = {name: moment for name, moment in dates.items() if name != "t0_pdgs_date"}
            self.seen(filename=filename, mission=mission, station=station, family=family, **steps)

    def _task(self, line: Line) -> None:
        header, task = line.header, line.task
        row: Row = {
            "uid": task.uid,
            "name": task.name,
            "mission": header.mission,
            "satellite": task.satellite,
            "rs_chain_name": header.rs_chain_name,
            "rs_chain_version": header.rs_chain_version,
            "workflow": header.workflow,
            "follows_from_task": task.follows_from_task or None,
            "filename": line.text("filename"),
            "begin_date": None,
            "end_date": None,
            "status": task.status,
            "error_code": task.error_code,
            "duration_seconds": task.duration_in_seconds,
            "data_volume_mebibytes": task.data_volume_mebibytes,
        }
        row["begin_date" if task.event == "BEGIN" else "end_date"] = header.timestamp
        known = self.tasks.setdefault(task.uid, row)
        _fill(known, row)

    def _file(self, line: Line, filename: str, family: str) -> None:
        task, mission = line.task, line.header.mission
        dates = {name: line.date(name.removesuffix("_date")) for name in ("pickup_point_seen_date", *STEPS)}
        station = line.text("station") or ""
        identifier, stored = line.identifier("product_id"), dates["prip_storage_date"]
        if task.name == PUBLISHED and line.ok and identifier and stored:
            dates["t0_pdgs_date"] = line.date("t0_pdgs")
            timeliness = line.text("timeliness") or ""
            self.published(identifier, filename, mission, task.satellite, station, family, timeliness, dates)
        elif task.name in {FETCHED, READ} and dates["pickup_point_seen_date"]:
            self.seen(filename=filename, mission=mission, station=station, family=family, **dates)

    def _missing(self, line: Line) -> None:
        task = line.task
        for number, each in enumerate(task.missing_output):
            metadata = each.product_metadata_custom_object
            identifier = uuid5(task.uid, str(number))
            self.missing[identifier] = {
                "id": identifier,
                "processing_uid": task.uid,
                "mission": line.header.mission,
                "station": str(metadata.get("station_string") or line.text("station") or "")[:64],
                "level": _level(metadata),
                "noticed_date": line.header.timestamp,
                "product_metadata_custom": metadata,
                "end_to_end_product": each.end_to_end_product_boolean,
                "estimated_count": each.estimated_count_integer,
            }
        self._listed(task.uid, line.names("input"), line.names("output"))

    def _listed(self, uid: UUID, inputs: Iterable[str], outputs: Iterable[str]) -> None:
        for name in inputs:
            base = base_name("", name)
            table = "input_list_external" if _is_of_a_station(base) else "input_list_internal"
            self.lists.setdefault(table, set()).add((uid, base))
        for name in outputs:
            self.lists.setdefault("output_list", set()).add((uid, base_name("", name)))


def _fill(row: Row, more: dict[str, Any]) -> None:
    """Add what the row does not say yet."""
    row.update({name: value for name, value in more.items() if row.get(name) is None and value is not None})


def _level(metadata: Row) -> str:
    """The level of products that were not made."""
    level, family = metadata.get("level_string"), metadata.get("family_string")
    return level[:16] if isinstance(level, str) else level_of(family) if isinstance(family, str) else OTHER


def _is_of_a_station(name: str) -> bool:
    """Whether an input is what stations deliver: a session's file or auxiliary data."""
    try:
        families = parse_name(name).families
    except InvalidNameError:
        return False
    return bool(families) and level_of(families[0]) in {SESSION, AUXILIARY}
