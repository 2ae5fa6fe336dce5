"""Orbits: interpolated against state vectors that were left out, propagated against a real orbit, and kept."""

import numpy as np
import pytest
from tests.means.orbits import REAL

from refsys.services.orbits.orbit import Orbit
from refsys.services.orbits.readers import read
from refsys.services.orbits.trajectory import Trajectory

REVOLUTION = 592  # vectors 10 s apart


@pytest.fixture(scope="module")
def real() -> Orbit:
    """3 hours of Sentinel-1A, a vector each 10 s."""
    told = read(REAL.name, REAL.read_bytes())
    assert told.orbit is not None
    assert (told.kind, told.satellite, len(told.orbit.times)) == ("orbit", "S1A", 1186)
    return told.orbit


def some(orbit: Orbit, index: slice | list[int]) -> Orbit:
    return Orbit(orbit.times[index], orbit.positions[index], orbit.velocities[index])


def error(orbit: Orbit, real: Orbit, inner: slice = slice(None)) -> float:
    """The greatest distance to the real vectors, in metres."""
    return float(np.linalg.norm(orbit.at(real.times[inner]) - real.positions[inner], axis=1).max())


def test_interpolation_meets_vectors_that_were_left_out(real: Orbit) -> None:
    assert error(some(real, slice(None, None, 2)), real, slice(0, -1)) < 0.005  # vectors 20 s apart
    assert error(some(real, slice(None, None, 6)), real, slice(0, -6)) < 0.35  # 60 s apart


def test_prediction_with_one_vector_a_revolution_is_good_to_hundreds_of_metres(real: Orbit) -> None:
    sparse = some(real, [0, REVOLUTION, 2 * REVOLUTION])
    dense = sparse.dense()
    assert len(dense.times) > REVOLUTION
    assert (np.diff(dense.times) > 0).all()
    inner = slice(0, 2 * REVOLUTION)
    assert error(dense, real, inner) < 520
    # It would not do without: the chord of a revolution leads through the Earth.
    assert error(sparse, real, inner) > 1_000_000


def test_dense_vectors_stay_as_they_are(real: Orbit) -> None:
    assert real.dense().times is real.times


def test_nothing_is_known_outside(real: Orbit) -> None:
    outside = np.array([real.start - 1, real.stop + 1])
    assert np.isnan(real.at(outside)).all()
    assert not np.isnan(real.at(np.array([real.start, real.stop]))).any()


def test_packed_is_the_same(real: Orbit) -> None:
    again = Orbit.unpacked(real.packed())
    for name in ("times", "positions", "velocities"):
        assert (getattr(again, name) == getattr(real, name)).all()


def test_the_best_orbit_counts_where_it_tells(real: Orbit) -> None:
    moved = Orbit(real.times, real.positions + np.array([1000.0, 0.0, 0.0]), real.velocities)
    half = some(real, slice(0, 500))
    times = real.times[[100, 800]]
    found = Trajectory([half, moved]).at(times)
    assert np.linalg.norm(found - real.positions[[100, 800]], axis=1) == pytest.approx([0, 1000], abs=0.01)


def test_ground_track_begins_at_the_equator_at_an_ascending_node(real: Orbit) -> None:
    longitude, latitude = Trajectory([real]).ground(real.times[[0]])[0]
    assert abs(latitude) < 0.5
    assert longitude == pytest.approx(113.35, abs=0.1)  # atan2(y, x) of the first vector
