"""What is shown of a time: passes, contacts, acquisitions, conflicts, tracks."""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from refsys.services.orbits.known import Known
from refsys.services.orbits.orbit import Array
from refsys.services.orbits.passes import Pass, Sampled
from refsys.services.orbits.readers import Acquisition, Contact
from refsys.services.orbits.satellites import Satellite
from refsys.services.orbits.stations import Station
from refsys.services.orbits.trajectory import Trajectory
from refsys.services.planning.conflicts import Conflict, conflicts

MARGIN_SECONDS = 1800.0
"""Around the time that is shown, so that passes at its ends are whole."""
REVOLUTION_SECONDS = 5940.0
TRACK_STEP_SECONDS = 30.0
KEPT_SECONDS = 60.0
KEPT = 16


@dataclass(frozen=True, eq=False)
class Situation:
    """What is known of the time from `start` to `stop`; `tracks` and `places` are longitude and latitude in degrees.

    A track is one revolution from `moment` on, a place the satellite's point on the ground at `moment`.
    """

    start: datetime
    stop: datetime
    moment: datetime
    stations: Mapping[str, Station]
    passes: Sequence[Pass]
    contacts: Sequence[Contact]
    acquisitions: Sequence[Acquisition]
    conflicts: Sequence[Conflict]
    tracks: Mapping[str, Array]
    places: Mapping[str, tuple[float, float]]
    known: tuple[datetime, datetime] | None


class Situations:
    """Finds situations, and keeps each for a minute; threads may share it."""

    def __init__(self, known: Known, stations: Mapping[str, Station], satellites: Mapping[str, Satellite]) -> None:
        """Nothing is asked before the first use."""
        self.known, self.stations, self.satellites = known, stations, satellites
        self._kept: OrderedDict[tuple[datetime, datetime], tuple[float, Situation]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, start: datetime, hours: int, now: datetime) -> Situation:
        """Return the situation of some hours from `start` on."""
        key = start, start + timedelta(hours=hours)
        with self._lock:
            kept = self._kept.get(key)
            if kept and kept[0] > time.monotonic():
                return kept[1]
            found = self._found(*key, now)
            self._kept[key] = time.monotonic() + KEPT_SECONDS, found
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found

    def _found(self, start: datetime, stop: datetime, now: datetime) -> Situation:
        contacts, acquisitions = self.known.contacts(start, stop), self.known.acquisitions(start, stop)
        trajectories = self.known.trajectories(start, stop)
        begin, end = start.timestamp(), stop.timestamp()
        around = [
            each
            for name, trajectory in trajectories.items()
            for each in self._passes(name, trajectory, begin - MARGIN_SECONDS, end + MARGIN_SECONDS)
        ]
        moment = min(max(now, start), stop)
        tracks = {name: _track(trajectory, moment.timestamp()) for name, trajectory in trajectories.items()}
        tracks = {name: track for name, track in tracks.items() if not np.isnan(track[0]).any()}
        return Situation(
            start=start,
            stop=stop,
            moment=moment,
            stations=self.stations,
            passes=sorted((each for each in around if each.set > begin and each.rise < end), key=_order),
            contacts=contacts,
            acquisitions=acquisitions,
            conflicts=conflicts(contacts, acquisitions, around, self.satellites, (begin, end)),
            tracks=tracks,
            places={name: (float(track[0, 0]), float(track[0, 1])) for name, track in tracks.items()},
            known=self.known.newest(),
        )

    def _passes(self, name: str, trajectory: Trajectory, start: float, stop: float) -> list[Pass]:
        sampled = Sampled.between(name, trajectory, start, stop)
        return [each for station in self.stations.values() for each in sampled.passes(station)]


def _track(trajectory: Trajectory, start: float) -> Array:
    track = trajectory.ground(np.arange(start, start + REVOLUTION_SECONDS, TRACK_STEP_SECONDS))
    known = ~np.isnan(track[:, 0])
    return track[known] if known[0] else track[:1]


def _order(each: Pass) -> tuple[float, str, str]:
    return each.rise, each.satellite, each.station


def utc(seconds: float) -> datetime:
    """A time in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)
