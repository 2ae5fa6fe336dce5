"""Passes beside those that Skyfield finds for the same satellite by its own way: SGP4, and its own search."""

from datetime import UTC, datetime, timedelta

import pytest
from skyfield.api import wgs84
from tests.means.orbits import SCALE, satellite, states

from refsys.services.orbits.orbit import Orbit
from refsys.services.orbits.passes import Pass, Sampled
from refsys.services.orbits.stations import Station, read_stations
from refsys.services.orbits.trajectory import Trajectory

START = datetime(2026, 11, 23, tzinfo=UTC)
DAY = 86_400.0
STATIONS = read_stations()


def sampled(name: str, step: float = 10.0, seconds: float = DAY) -> Sampled:
    vectors = states(name, START, seconds, step)
    trajectory = Trajectory([Orbit(vectors[:, 0], vectors[:, 1:4], vectors[:, 4:]).dense()])
    return Sampled.between(name, trajectory, START.timestamp(), START.timestamp() + seconds)


def by_skyfield(name: str, station: Station) -> list[tuple[float, float, float, float]]:
    """Rise, top, set and highest elevation of whole passes."""
    place = wgs84.latlon(station.latitude, station.longitude, station.altitude)
    begin, end = SCALE.from_datetime(START), SCALE.from_datetime(START + timedelta(seconds=DAY))
    times, kinds = satellite(name).find_events(place, begin, end, altitude_degrees=station.mask)
    found, current = [], list[float]()
    for time, kind in zip(times, kinds, strict=True):
        seconds = time.utc_datetime().timestamp()
        current = [seconds] if kind == 0 else [*current, seconds]
        if kind == 2 and len(current) == 3:
            found.append((current[0], current[1], current[2], altitude(name, station, current[1])))
    return found


def altitude(name: str, station: Station, seconds: float) -> float:
    """Degrees above the horizon, as Skyfield has them."""
    place = wgs84.latlon(station.latitude, station.longitude, station.altitude)
    moment = SCALE.from_datetime(datetime.fromtimestamp(seconds, UTC))
    found, _, _ = (satellite(name) - place).at(moment).altaz()
    return float(found.degrees)


@pytest.mark.parametrize("name", ["S1A", "S2B", "S3C"])
def test_passes_are_those_of_another_library(name: str) -> None:
    positions = sampled(name)
    for code in ("SGS_", "MTI_", "INS_"):
        station = STATIONS[code]
        own = [each for each in positions.passes(station) if not each.cut]
        expected = by_skyfield(name, station)
        assert len(own) == len(expected) >= 3
        for each, (rise, top, end, elevation) in zip(own, expected, strict=True):
            # Its search stops at a fifth of a second; what it finds at our own times is exact.
            assert (each.rise, each.top, each.set) == pytest.approx((rise, top, end), abs=0.3)
            assert each.elevation == pytest.approx(altitude(name, station, each.top), abs=0.001)
            assert each.elevation >= elevation - 0.001
            assert altitude(name, station, each.rise) == pytest.approx(station.mask, abs=0.0005)
            assert altitude(name, station, each.set) == pytest.approx(station.mask, abs=0.0005)


def test_passes_of_a_prediction_with_one_vector_a_revolution_are_good_to_a_second() -> None:
    exact, predicted = (
        [each for each in sampled("S1A", step).passes(STATIONS["SGS_"]) if not each.cut] for step in (10.0, 5920.0)
    )
    pairs = [(one, other) for one in exact for other in predicted if abs(one.top - other.top) < 60]
    assert len(pairs) >= len(exact) - 1 >= 8
    assert max(abs(one.rise - other.rise) for one, other in pairs) < 1.0


def test_a_higher_mask_gives_shorter_passes() -> None:
    found = sampled("S1A")
    low, high = found.passes(STATIONS["SGS_"]), found.passes(STATIONS["SGS_"], 20.0)
    assert 0 < len(high) < len(low)
    for each in high:
        around = [other for other in low if other.rise < each.rise and each.set < other.set]
        assert [other.elevation for other in around] == [pytest.approx(each.elevation, abs=1e-3)]


def test_a_pass_at_the_end_of_what_is_known_is_cut() -> None:
    whole: Pass = sampled("S1A").passes(STATIONS["SGS_"])[2]
    middle = whole.top - START.timestamp()
    last = sampled("S1A", seconds=middle).passes(STATIONS["SGS_"])[-1]
    assert last.cut
    assert last.rise == pytest.approx(whole.rise, abs=0.1)
    assert last.set == pytest.approx(whole.top, abs=20)
