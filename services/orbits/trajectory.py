"""A satellite's way through all orbit files that tell of it: at each time the best one counts."""

from collections.abc import Sequence

import numpy as np
import pymap3d

from refsys.services.orbits.orbit import Array, Orbit
from refsys.services.orbits.stations import Station


class Trajectory:
    """The way of one satellite."""

    def __init__(self, orbits: Sequence[Orbit]) -> None:
        """The orbits come best first."""
        self._orbits = orbits

    def at(self, times: Array) -> Array:
        """Positions (n, 3) in the Earth-fixed frame in m; NaN where no orbit file tells."""
        found = np.full((len(times), 3), np.nan)
        for orbit in self._orbits:
            missing = np.isnan(found[:, 0]) & (times >= orbit.start) & (times <= orbit.stop)
            if missing.any():
                found[missing] = orbit.at(times[missing])
        return found

    def ground(self, times: Array) -> Array:
        """The points below the satellite: longitude and latitude in degrees (n, 2), geodetic (WGS 84)."""
        x, y, z = self.at(times).T
        latitude, longitude, _ = pymap3d.ecef2geodetic(x, y, z)
        return np.column_stack([longitude, latitude])

    def elevation(self, times: Array, station: Station) -> Array:
        """Degrees above the horizon of a station (n); NaN where no orbit file tells."""
        return elevation(self.at(times), station)


def elevation(positions: Array, station: Station) -> Array:
    """Degrees above the horizon of a station (n) of positions (n, 3)."""
    x, y, z = positions.T
    _, found, _ = pymap3d.ecef2aer(x, y, z, station.latitude, station.longitude, station.altitude)
    return np.asarray(found, dtype=np.float64)
