"""Plans: makes them of what is known, and keeps each version with who made it and why."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, update

from refsys.services.common import logs
from refsys.services.common.database import lock_transaction
from refsys.services.common.messages import utc_now
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.orbits.intake import CHAIN
from refsys.services.orbits.known import Known
from refsys.services.orbits.passes import Pass, Sampled
from refsys.services.orbits.satellites import Satellite
from refsys.services.orbits.stations import Station
from refsys.services.sra.allocation import Allocation, Allocator, Decision, Request
from refsys.services.sra.plan_file import Of, Written, write
from refsys.services.sra.rules import Rules
from refsys.services.sra.tables import WAITING, WRITTEN, Plan, PlanFile

HOURS_MAXIMUM = 72
MARGIN_SECONDS = 1800.0
"""More than the longest pass."""
REASON_CHARACTERS = 500
_LOCK = "sra plans"

log = logs.get_logger()


class Plans:
    """All plans; threads may share it."""

    def __init__(
        self, known: Known, rules: Rules, stations: Mapping[str, Station], satellites: Mapping[str, Satellite]
    ) -> None:
        """Nothing is asked before the first use."""
        self.known, self.rules, self.stations, self.satellites = known, rules, stations, satellites
        self._engine = known.engine

    def make(self, start: datetime, hours: int, author: str, reason: str) -> int:
        """Make a plan for some hours from a full minute on, and return its version.

        Raises:
            ODataError: 400 without a reason, 409 where no orbit is known of that time.
        """
        reason = _reason(reason)
        start = start.replace(second=0, microsecond=0)
        stop = start + timedelta(hours=hours)
        with logs.task("JobGenerator", chain=CHAIN, mission="", start=start, stop=stop, author=author) as task:
            request = self._request(start, stop)
            if not request.visible:
                message = f"no orbit is known from {start:%Y-%m-%d %H:%M} to {stop:%Y-%m-%d %H:%M}: choose another time"
                raise ODataError(409, "NoOrbits", message, target="start")
            made = Allocator(self.rules, self.stations, self.satellites).allocate(request)
            version = self._keep(start, stop, author, reason, made)
            chosen = sum(each.chosen for each in made.decisions)
            task.output = {"version": version, "chosen": chosen, "refused": len(made.decisions) - chosen}
        return version

    def _request(self, start: datetime, stop: datetime) -> Request:
        """All passes whose usable part begins in the plan's time; others are of the plan before or after."""
        begin, end = start.timestamp(), stop.timestamp()
        visible: list[Pass] = []
        usable: list[Pass] = []
        for name, trajectory in self.known.trajectories(start, stop).items():
            sampled = Sampled.between(name, trajectory, begin - MARGIN_SECONDS, end + MARGIN_SECONDS)
            for station in self.stations.values():
                parts = sampled.passes(station, max(station.mask, self.rules.elevation_of(station.code)))
                for each in sampled.passes(station):
                    own = [part for part in parts if each.rise <= part.top <= each.set]
                    if begin <= (own[0].rise if own else each.rise) < end:
                        visible.append(each)
                        usable += own
        return Request(begin, end + MARGIN_SECONDS, visible, usable, self.known.acquisitions(start, stop))

    def _keep(self, start: datetime, stop: datetime, author: str, reason: str, made: Allocation) -> int:
        orbits = [name for name, _ in self.known.orbit_files(start, stop)]
        with self._engine.begin() as connection:
            lock_transaction(connection, _LOCK)
            last, before = connection.execute(select(func.max(Plan.version), func.max(Plan.created))).one()
            # File names have it in seconds, and no two plans have the same names.
            created = utc_now().replace(microsecond=0)
            if before is not None:
                created = max(created, before.astimezone(UTC) + timedelta(seconds=1))
            version = (last or 0) + 1
            values = {
                "version": version, "created": created, "author": author, "reason": reason,
                "start": start, "stop": stop,
                "rules": self.rules.model_dump(mode="json"), "inputs": {"orbits": orbits},
                "decisions": [asdict(each) for each in made.decisions], "warnings": list(made.warnings),
            }  # fmt: skip
            connection.execute(insert(Plan).values(values))
            files = [
                {**asdict(each), "content": each.text, "version": version, "state": WRITTEN}
                for each in _files(Of(version, created, start, stop), made)
            ]
            for each in files:
                each.pop("text")
            if files:
                connection.execute(insert(PlanFile), files)
        log.info("plan is made", version=version, author=author, files=len(files))
        return version

    def publish(self, version: int, publisher: str, reason: str) -> None:
        """Have the files of a plan published; a plan that is being published already stays as it is.

        Raises:
            ODataError: 400 without a reason, 404 for an unknown plan, 409 for one with a newer published one.
        """
        reason = _reason(reason)
        with self._engine.begin() as connection:
            lock_transaction(connection, _LOCK)
            plan = connection.execute(select(Plan.__table__).where(Plan.version == version)).mappings().one_or_none()
            if plan is None:
                raise _unknown(version)
            if plan["published"] is not None:
                return
            overlapping = (Plan.start < plan["stop"], Plan.stop > plan["start"], Plan.published.is_not(None))
            newer = connection.scalar(select(func.max(Plan.version)).where(Plan.version > version, *overlapping))
            if newer is not None:
                message = f"plan {newer}, which is newer, is published for some of that time: make another plan"
                raise ODataError(409, "Superseded", message)
            values = {"publisher": publisher, "publish_reason": reason, "published": func.now()}
            connection.execute(update(Plan).where(Plan.version == version).values(values))
            connection.execute(
                update(PlanFile)
                .where(PlanFile.version == version, PlanFile.state == WRITTEN)
                .values(state=WAITING, changed=func.now())
            )
        log.info("plan is to be published", version=version, publisher=publisher)

    def versions(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return the plans, the newest first, without their decisions."""
        columns = [each for each in Plan.__table__.columns if each.name not in ("decisions", "rules", "inputs")]
        with self._engine.connect() as connection:
            found = connection.execute(select(*columns).order_by(Plan.version.desc()).limit(limit))
            return [dict(row) for row in found.mappings()]

    def plan(self, version: int) -> dict[str, Any]:
        """Return a plan; raises `ODataError` 404."""
        with self._engine.connect() as connection:
            found = connection.execute(select(Plan.__table__).where(Plan.version == version)).mappings().one_or_none()
        if found is None:
            raise _unknown(version)
        return dict(found)

    def files(self, version: int) -> list[dict[str, Any]]:
        """Return the files of a plan without their content, in the order of their names."""
        columns = [each for each in PlanFile.__table__.columns if each.name != "content"]
        with self._engine.connect() as connection:
            found = connection.execute(select(*columns).where(PlanFile.version == version).order_by(PlanFile.name))
            return [dict(row) for row in found.mappings()]

    def content(self, version: int, name: str) -> str:
        """Return the text of a plan file; raises `ODataError` 404."""
        statement = select(PlanFile.content).where(PlanFile.version == version, PlanFile.name == name)
        with self._engine.connect() as connection:
            found: str | None = connection.scalar(statement)
        if found is None:
            raise ODataError(404, "NotFound", f"plan {version} has no such file")
        return found


def _files(plan: Of, made: Allocation) -> list[Written]:
    """A file for each satellite and station that see each other, so that it replaces what was planned before."""
    contacts: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for each in made.decisions:
        chosen = contacts[each.satellite, each.station]
        if each.chosen:
            chosen.append(each)
    return [write(plan, *between, chosen) for between, chosen in sorted(contacts.items())]


def _reason(text: str) -> str:
    text = " ".join(text.split())
    if not 3 <= len(text) <= REASON_CHARACTERS or not text.isprintable():
        raise ODataError(400, "Reason", f"say why, in 3 to {REASON_CHARACTERS} characters", target="reason")
    return text


def _unknown(version: int) -> ODataError:
    return ODataError(404, "NotFound", f"there is no plan {version}")
