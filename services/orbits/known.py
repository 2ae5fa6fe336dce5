"""What is known: reads and writes the tables. Of files that tell of the same time, the one made last counts."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, exists, func, insert, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased

from refsys.services.common.database import Base
from refsys.services.orbits.orbit import Orbit
from refsys.services.orbits.readers import Acquisition, Contact, Told
from refsys.services.orbits.tables import Cursor, OrbitStates, PlannedAcquisition, ReadFile, StationContact
from refsys.services.orbits.trajectory import Trajectory

UNREADABLE = "unreadable"
MARGIN = timedelta(hours=3)
"""Of an orbit around what is asked for, so that passes are not cut."""
ORBITS_KEPT = 256


class Known:
    """What was read; threads may share it."""

    def __init__(self, engine: Engine) -> None:
        """Nothing is asked before the first use."""
        self.engine = engine
        self._orbit = lru_cache(ORBITS_KEPT)(self._load_orbit)

    def cursor(self, source: str) -> datetime | None:
        """Return how far a source was read."""
        with self.engine.connect() as connection:
            return connection.scalar(select(Cursor.published).where(Cursor.source == source))

    def advance(self, source: str, published: datetime) -> None:
        """Note how far a source was read; it never goes back."""
        statement = upsert(Cursor).values(source=source, published=published)
        newest = func.greatest(Cursor.published, statement.excluded.published)
        statement = statement.on_conflict_do_update(index_elements=[Cursor.source], set_={"published": newest})
        with self.engine.begin() as connection:
            connection.execute(statement)

    def missing(self, names: Iterable[str]) -> set[str]:
        """Return those of the names that were not read yet."""
        asked = set(names)
        with self.engine.connect() as connection:
            there = connection.scalars(select(ReadFile.name).where(ReadFile.name.in_(asked))).all()
        return asked - set(there)

    def add(self, name: str, published: datetime, told: Told) -> bool:
        """Keep what a file tells, all of it or nothing; False if the file is known already."""
        header = {
            "kind": told.kind, "satellite": told.satellite, "station": told.station,
            "start": told.start, "stop": told.stop, "created": told.created,
        }  # fmt: skip
        with self.engine.begin() as connection:
            statement = upsert(ReadFile).values(name=name, published=published, **header)
            added = connection.execute(statement.on_conflict_do_nothing().returning(ReadFile.name)).first()
            if added is None:
                return False
            if told.orbit is not None:
                states = told.orbit.packed()
                connection.execute(insert(OrbitStates).values(file_name=name, rank=told.rank, states=states))
            kinds: tuple[tuple[type[Base], Sequence[Acquisition | Contact]], ...] = (
                (PlannedAcquisition, told.acquisitions),
                (StationContact, told.contacts),
            )
            for table, rows in kinds:
                numbered = [{"file_name": name, "number": n, **asdict(row)} for n, row in enumerate(rows)]
                if numbered:
                    connection.execute(insert(table), numbered)
        return True

    def refuse(self, name: str, published: datetime, reason: str) -> None:
        """Note that a file can't be read, and why."""
        values = {"name": name, "kind": UNREADABLE, "published": published, "reason": reason[:1000]}
        with self.engine.begin() as connection:
            connection.execute(upsert(ReadFile).values(values).on_conflict_do_nothing())

    def orbit_files(self, start: datetime, stop: datetime) -> list[tuple[str, str]]:
        """Return the names and satellites of orbit files that tell of a time, of each satellite the best first."""
        statement = (
            select(ReadFile.name, ReadFile.satellite)
            .join(OrbitStates, OrbitStates.file_name == ReadFile.name)
            .where(ReadFile.stop > start - MARGIN, ReadFile.start < stop + MARGIN)
            .order_by(ReadFile.satellite, OrbitStates.rank, ReadFile.created.desc(), ReadFile.name)
        )
        with self.engine.connect() as connection:
            return [(name, satellite) for name, satellite in connection.execute(statement)]

    def trajectories(self, start: datetime, stop: datetime) -> dict[str, Trajectory]:
        """Return the ways of all satellites whose orbits are known in a time, by satellite."""
        found: dict[str, list[Orbit]] = {}
        for name, satellite in self.orbit_files(start, stop):
            found.setdefault(satellite, []).append(self._orbit(name))
        return {satellite: Trajectory(orbits) for satellite, orbits in found.items()}

    def _load_orbit(self, name: str) -> Orbit:
        with self.engine.connect() as connection:
            states = connection.scalars(select(OrbitStates.states).where(OrbitStates.file_name == name)).one()
        return Orbit.unpacked(states).dense()

    def acquisitions(self, start: datetime, stop: datetime) -> list[Acquisition]:
        """Return what is planned to be acquired in a time, by the newest plan of each satellite."""
        table = PlannedAcquisition
        rows = self._current(table, table.start < stop, table.stop > start)
        return [Acquisition(**{**row, "footprint": [(x, y) for x, y in row["footprint"]]}) for row in rows]

    def contacts(self, start: datetime, stop: datetime) -> list[Contact]:
        """Return contacts in a time: of the newest plan of each satellite and station, and of all reports."""
        table = StationContact
        return [Contact(**row) for row in self._current(table, table.start < stop, table.stop > start)]

    def _current(self, table: Any, *wanted: ColumnElement[bool]) -> list[dict[str, Any]]:
        """Rows that no newer file of the same kind, satellite and station tells otherwise, in the order of time."""
        newer = aliased(ReadFile)
        told_anew = exists().where(
            newer.kind == ReadFile.kind,
            newer.kind != "received",
            newer.satellite == ReadFile.satellite,
            newer.station == ReadFile.station,
            newer.start <= table.start,
            newer.stop > table.start,
            or_(newer.created > ReadFile.created, and_(newer.created == ReadFile.created, newer.name > ReadFile.name)),
        )
        columns = [each for each in table.__table__.columns if each.name not in ("file_name", "number")]
        statement = (
            select(*columns)
            .join(ReadFile, ReadFile.name == table.file_name)
            .where(*wanted, ~told_anew)
            .order_by(table.start, table.satellite, table.file_name, table.number)
        )
        with self.engine.connect() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    def files(self, limit: int = 100) -> Sequence[dict[str, Any]]:
        """Return the files that were read or can't be, the last published first."""
        columns = list(ReadFile.__table__.columns)
        with self.engine.connect() as connection:
            found = connection.execute(select(*columns).order_by(ReadFile.published.desc(), ReadFile.name).limit(limit))
            return [dict(row) for row in found.mappings()]

    def counts(self) -> dict[str, int]:
        """Return how many files there are of each kind."""
        statement = select(ReadFile.kind, func.count()).group_by(ReadFile.kind)
        with self.engine.connect() as connection:
            return {row.kind: row[1] for row in connection.execute(statement)}

    def newest(self) -> tuple[datetime, datetime] | None:
        """Return from when until when orbits are known, of all satellites together; None if none is."""
        statement = select(func.min(ReadFile.start), func.max(ReadFile.stop)).where(ReadFile.kind == "orbit")
        with self.engine.connect() as connection:
            start, stop = connection.execute(statement).one()
        return (start.astimezone(UTC), stop.astimezone(UTC)) if start and stop else None
