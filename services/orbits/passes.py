"""Passes: when a satellite is above the horizon of a station."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refsys.services.orbits.orbit import Array
from refsys.services.orbits.stations import Station
from refsys.services.orbits.trajectory import Trajectory, elevation

STEP_SECONDS = 10.0
"""A pass that is shorter may be missed."""
HALVINGS = 14
FINE = 41


@dataclass(frozen=True)
class Pass:
    """A pass; times in seconds since 1970 (UTC), the highest elevation in degrees.

    `cut` tells that the time asked for, or what is known of the orbit, begins or ends within it.
    """

    satellite: str
    station: str
    rise: float
    top: float
    set: float
    elevation: float
    cut: bool = False

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.set - self.rise


@dataclass(frozen=True, eq=False)
class Sampled:
    """A satellite's positions at regular times, from which the passes over all stations are found."""

    satellite: str
    trajectory: Trajectory
    times: Array
    positions: Array

    @staticmethod
    def between(satellite: str, trajectory: Trajectory, start: float, stop: float) -> "Sampled":
        """Sample the time from `start` to `stop`."""
        times = np.append(np.arange(start, stop, STEP_SECONDS), stop)
        return Sampled(satellite, trajectory, times, trajectory.at(times))

    def passes(self, station: Station, mask: float | None = None) -> list[Pass]:
        """Return the passes over a station, above its own mask or another (degrees), in the order of time."""
        height = station.mask if mask is None else mask
        seen = elevation(self.positions, station)
        return [self._pass(station, height, seen, first, last) for first, last in _runs(seen >= height)]

    def _pass(self, station: Station, mask: float, seen: Array, first: int, last: int) -> Pass:
        rise, rise_cut = self._crossing(station, mask, seen, first, first - 1)
        end, end_cut = self._crossing(station, mask, seen, last, last + 1)
        best = float(self.times[first + int(np.argmax(seen[first : last + 1]))])
        top, highest = self._top(station, rise, end, best)
        return Pass(self.satellite, station.code, rise, top, end, highest, rise_cut or end_cut)

    def _crossing(self, station: Station, mask: float, seen: Array, inside: int, outside: int) -> tuple[float, bool]:
        """The time of the mask between a sample that is above it and its neighbour; True if there is no neighbour."""
        if not 0 <= outside < len(seen) or np.isnan(seen[outside]):
            return float(self.times[inside]), True
        above, below = float(self.times[inside]), float(self.times[outside])
        for _ in range(HALVINGS):
            middle = (above + below) / 2
            if self.trajectory.elevation(np.array([middle]), station)[0] >= mask:
                above = middle
            else:
                below = middle
        return above, False

    def _top(self, station: Station, rise: float, end: float, best: float) -> tuple[float, float]:
        """The time of the highest elevation, which is a step around `best` at most, and this elevation."""
        low, high = max(rise, best - STEP_SECONDS), min(end, best + STEP_SECONDS)
        at, highest = best, -90.0
        for _ in range(2):
            times = np.linspace(low, high, FINE)
            found = self.trajectory.elevation(times, station)
            place = int(np.nanargmax(found))
            at, highest = float(times[place]), float(found[place])
            low, high = times[max(place - 1, 0)], times[min(place + 1, FINE - 1)]
        return at, highest


def _runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The first and the last index of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    for first, after in zip(edges[::2], edges[1::2], strict=True):
        yield int(first), int(after) - 1
