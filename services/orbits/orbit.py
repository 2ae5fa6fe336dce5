"""An orbit: where a satellite is at any time between the state vectors of an orbit file.

Times are seconds since 1970 in UTC (a file with a leap second in it does not exist since 2017), positions and
velocities are in the Earth-fixed frame, in m and m/s. A double holds such times to 0.24 µs, which are 2 mm of way.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from refsys.services.orbits.propagation import filled

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Orbit:
    """State vectors in the order of time: `times` (n), `positions` and `velocities` (n, 3)."""

    times: Array
    positions: Array
    velocities: Array

    @property
    def start(self) -> float:
        """The time of the first state vector."""
        return float(self.times[0])

    @property
    def stop(self) -> float:
        """The time of the last state vector."""
        return float(self.times[-1])

    def at(self, times: Array) -> Array:
        """Positions (n, 3) at times within the orbit, by cubic Hermite interpolation; NaN outside of it."""
        index = np.clip(np.searchsorted(self.times, times, side="right") - 1, 0, len(self.times) - 2)
        step = self.times[index + 1] - self.times[index]
        share = ((times - self.times[index]) / step)[:, None]
        step = step[:, None]
        found: Array = (
            (1 + 2 * share) * (1 - share) ** 2 * self.positions[index]
            + share * (1 - share) ** 2 * step * self.velocities[index]
            + share**2 * (3 - 2 * share) * self.positions[index + 1]
            + share**2 * (share - 1) * step * self.velocities[index + 1]
        )
        found[(times < self.start) | (times > self.stop)] = np.nan
        return found

    def dense(self) -> "Orbit":
        """The orbit with what lies between vectors that are far apart, as in predictions with one a revolution."""
        return Orbit(*filled(self.times, self.positions, self.velocities))

    def packed(self) -> bytes:
        """The state vectors as they are kept."""
        buffer = BytesIO()
        np.save(buffer, np.column_stack([self.times, self.positions, self.velocities]), allow_pickle=False)
        return buffer.getvalue()

    @staticmethod
    def unpacked(data: bytes) -> "Orbit":
        """The orbit that `packed` gave."""
        states = np.load(BytesIO(data), allow_pickle=False)
        return Orbit(states[:, 0].copy(), states[:, 1:4].copy(), states[:, 4:7].copy())
