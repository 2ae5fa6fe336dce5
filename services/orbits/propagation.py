"""What lies between state vectors that are too far apart to interpolate: predictions have one at each ascending node.

From both sides the motion is integrated in the rotating frame with the Earth's point mass and its flattening (J2), and
both are blended. Against real orbits the error is largest in the middle (tests/unit/services/orbits tells it); without
tesseral harmonics, drag and the pull of sun and moon it is hundreds of metres, or tenths of a second of way.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GAP_SECONDS = 120.0  # up to this, interpolation is good to metres
STEP_SECONDS = 20.0
# WGS 84 (NIMA TR8350.2): m^3/s^2, m, rad/s; J2 of EGM96.
GRAVITY = 3.986004418e14
RADIUS = 6378137.0
ROTATION = 7.292115e-5
J2 = 1.08262668e-3


def filled(times: Array, positions: Array, velocities: Array) -> tuple[Array, Array, Array]:
    """Times, positions and velocities with states about every 20 s in each gap of more than two minutes."""
    gaps = np.flatnonzero(np.diff(times) > GAP_SECONDS)
    if not len(gaps):
        return times, positions, velocities
    lengths = times[gaps + 1] - times[gaps]
    count = int(np.ceil(lengths.max() / STEP_SECONDS))
    states = np.concatenate([positions, velocities], axis=1)
    ahead = _integrated(states[gaps], lengths / count, count)
    back = _integrated(states[gaps + 1], -lengths / count, count)[::-1]
    share = (np.arange(count + 1) / count)[:, None, None]
    blend = (1 - share) * ahead + share * back
    blend[:, :, 3:] += (back - ahead)[:, :, :3] / lengths[None, :, None]
    between = times[gaps][None, :] + share[:, :, 0] * lengths[None, :]
    inner = slice(1, count)
    all_times = np.concatenate([times, between[inner].ravel()])
    all_states = np.concatenate([states, blend[inner].reshape(-1, 6)])
    order = np.argsort(all_times, kind="stable")
    return all_times[order], all_states[order, :3], all_states[order, 3:]


def _integrated(states: Array, steps: Array, count: int) -> Array:
    """States (count + 1, n, 6) of n satellites at multiples of their steps in seconds, by Runge and Kutta's method."""
    found = np.empty((count + 1, *states.shape))
    found[0] = states
    step = steps[:, None]
    for number in range(count):
        one = found[number]
        first = _change(one)
        second = _change(one + step / 2 * first)
        third = _change(one + step / 2 * second)
        fourth = _change(one + step * third)
        found[number + 1] = one + step / 6 * (first + 2 * second + 2 * third + fourth)
    return found


def _change(states: Array) -> Array:
    """What states (n, 6) change in a second: gravity, and the forces of a frame that turns with the Earth."""
    x, y, z = states[:, 0], states[:, 1], states[:, 2]
    vx, vy = states[:, 3], states[:, 4]
    square = x * x + y * y + z * z
    pull = -GRAVITY / (square * np.sqrt(square))
    flat = 1.5 * J2 * RADIUS**2 / square
    tilt = 5 * z * z / square
    change = np.empty_like(states)
    change[:, :3] = states[:, 3:]
    change[:, 3] = pull * x * (1 + flat * (1 - tilt)) + ROTATION * (ROTATION * x + 2 * vy)
    change[:, 4] = pull * y * (1 + flat * (1 - tilt)) + ROTATION * (ROTATION * y - 2 * vx)
    change[:, 5] = pull * z * (1 + flat * (3 - tilt))
    return change
