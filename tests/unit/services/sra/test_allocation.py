"""Allocations: nothing that can't be, always the same, with a reason for each pass."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refsys.services.orbits.passes import Pass
from refsys.services.orbits.readers import Acquisition
from refsys.services.orbits.satellites import Satellite, read_satellites
from refsys.services.orbits.stations import Station, read_stations
from refsys.services.sra.allocation import (
    BUSY,
    CHOSEN,
    ELEVATION,
    EMPTY,
    LENGTH,
    SETUP,
    TAKEN,
    UNAVAILABLE,
    Allocation,
    Allocator,
    Decision,
    Request,
)
from refsys.services.sra.rules import Rules, Unavailability, read_rules

START = datetime(2026, 11, 23, tzinfo=UTC)
BEGIN = START.timestamp()
DAY = 86_400.0
RULES = read_rules()
STATIONS = read_stations()
SATELLITES = read_satellites()
NAMES = ("S1A", "S1B", "S1C", "S1D", "S2A", "S2B", "S2C", "S2D", "S3A", "S3B", "S3C", "S3D")


def seen(satellite: str, minute: float, minutes: float = 10, station: str = "MPS_", elevation: float = 40) -> Pass:
    rise = BEGIN + minute * 60
    return Pass(satellite, station, rise, rise + minutes * 30, rise + minutes * 60, elevation)


def allocate(
    visible: list[Pass],
    rules: Rules = RULES,
    *,
    usable: list[Pass] | None = None,
    acquisitions: tuple[Acquisition, ...] = (),
    stations: dict[str, Station] = STATIONS,
    satellites: dict[str, Satellite] = SATELLITES,
) -> Allocation:
    request = Request(BEGIN, BEGIN + DAY, visible, visible if usable is None else usable, acquisitions)
    return Allocator(rules, stations, satellites).allocate(request)


def told(found: Allocation) -> list[tuple[str, str]]:
    return [(each.satellite, each.rule) for each in found.decisions]


@st.composite
def skies(draw: st.DrawFn) -> list[Pass]:
    """Passes of twelve satellites over two stations with two antennas, at times that crowd."""
    found = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=12, unique=True)):
        for station in ("SGS_", "MTI_"):
            minute = draw(st.integers(0, 60))
            for _ in range(draw(st.integers(0, 3))):
                minutes = draw(st.integers(2, 14))
                found.append(seen(name, minute, minutes, station, draw(st.integers(6, 89))))
                minute += minutes + draw(st.integers(5, 90))
    return found


@settings(max_examples=40, deadline=None)
@given(visible=skies(), rules=st.sampled_from([RULES, RULES.model_copy(update={"minimum_dump_gbit": 0.0})]))
def test_what_is_chosen_can_be(visible: list[Pass], rules: Rules) -> None:
    found = allocate(visible, rules)
    assert len(found.decisions) == len(visible)
    chosen = [each for each in found.decisions if each.chosen]
    by_antenna: dict[str, list[Decision]] = defaultdict(list)
    by_satellite: dict[str, list[Decision]] = defaultdict(list)
    for each in chosen:
        by_antenna[each.antenna].append(each)
        by_satellite[each.satellite].append(each)
        assert each.antenna in STATIONS[each.station].antennas
        assert each.stop - each.start >= rules.minimum_contact_seconds
        assert each.sent >= rules.minimum_dump_gbit
    for contacts in by_antenna.values():
        assert all(other.start - one.stop >= rules.setup_seconds for one, other in pairwise(contacts))
    for contacts in by_satellite.values():
        assert all(one.stop <= other.start for one, other in pairwise(contacts))


@settings(max_examples=40, deadline=None)
@given(visible=skies(), order=st.randoms())
def test_it_is_always_the_same(visible: list[Pass], order: object) -> None:
    mixed = sorted(visible, key=lambda _: order.random())  # type: ignore[attr-defined]
    assert allocate(mixed) == allocate(visible)


@settings(max_examples=40, deadline=None)
@given(visible=skies())
def test_who_is_refused_had_no_room(visible: list[Pass]) -> None:
    """Nobody is refused whom an antenna could still take: the reason is true."""
    found = allocate(visible, RULES.model_copy(update={"minimum_dump_gbit": 0.0}))
    chosen = [each for each in found.decisions if each.chosen]
    for each in found.decisions:
        if each.rule == BUSY:
            assert any(
                other.satellite == each.satellite and other.start < each.stop and each.start < other.stop
                for other in chosen
            )
        elif each.rule in (TAKEN, SETUP):
            for antenna in STATIONS[each.station].antennas:
                assert any(
                    other.antenna == antenna
                    and other.start < each.stop + RULES.setup_seconds
                    and each.start < other.stop + RULES.setup_seconds
                    for other in chosen
                )
        else:
            assert each.rule in (CHOSEN, LENGTH)


@settings(max_examples=40, deadline=None)
@given(visible=skies())
def test_one_more_antenna_at_the_last_station_is_never_a_loss(visible: list[Pass]) -> None:
    rules = RULES.model_copy(update={"minimum_dump_gbit": 0.0})
    more = STATIONS | {"ZZZ_": STATIONS["MTI_"].model_copy(update={"code": "ZZZ_", "antennas": ("ZZ1",)})}
    further = [replace(each, station="ZZZ_") for each in visible if each.station == "MTI_"]

    def worth(found: Allocation) -> int:
        return sum(each.worth for each in found.decisions if each.chosen)

    assert worth(allocate([*visible, *further], rules, stations=more)) >= worth(allocate(visible, rules))


def test_the_more_urgent_wins() -> None:
    found = allocate([seen("S2A", 0), seen("S3A", 2)])
    assert told(found) == [("S2A", TAKEN), ("S3A", CHOSEN)]
    assert "chosen instead: S3A (00:02 to 00:12, worth 3000) on MP1" in found.decisions[0].text


def test_what_was_recorded_not_long_before_makes_it_urgent() -> None:
    def recorded(mode: str) -> Acquisition:
        return Acquisition("S1A", "1", mode, "DV", START, START + timedelta(minutes=10), None)

    passes = [seen("S1A", 60), seen("S3A", 62)]
    assert told(allocate(passes, acquisitions=(recorded("IW"),))) == [("S1A", TAKEN), ("S3A", CHOSEN)]
    assert told(allocate(passes, acquisitions=(recorded("EW"),))) == [("S1A", CHOSEN), ("S3A", TAKEN)]
    late = [seen("S1A", 600), seen("S3A", 602)]
    assert told(allocate(late, acquisitions=(recorded("EW"),))) == [("S1A", TAKEN), ("S3A", CHOSEN)]


def test_each_rule_refuses_with_its_reason() -> None:
    low, short, room = seen("S1A", 0, elevation=4), seen("S1B", 100, minutes=2), seen("S1C", 200)
    found = allocate([low, short, room], usable=[short, room])
    assert told(found) == [("S1A", ELEVATION), ("S1B", LENGTH), ("S1C", CHOSEN)]
    assert found.decisions[0].text == "it rises to 4.0° only, 5° are needed"
    assert found.decisions[1].text == "it is above 5° for 120 s only, 180 s are needed"


def test_setup_time_is_told() -> None:
    found = allocate([seen("S1A", 0), seen("S1B", 12)])
    assert [rule for _, rule in told(found)] == [CHOSEN, SETUP]
    assert "with 240 s between contacts there is no room beside: S1A" in found.decisions[1].text


def test_a_satellite_sends_to_one_station_at_a_time() -> None:
    found = allocate([seen("S1A", 0, station="NSG_"), seen("S1A", 5, station="MTI_")])
    assert told(found) == [("S1A", CHOSEN), ("S1A", BUSY)]
    assert found.decisions[1].text == "S1A sends to NSG_ meanwhile"


def test_a_station_that_receives_nothing() -> None:
    closed = Unavailability(station="MPS_", start=START, stop=START + timedelta(minutes=30), reason="maintenance")
    rules = RULES.model_copy(update={"unavailable": (closed,)})
    found = allocate([seen("S1A", 0), seen("S1B", 40)], rules)
    assert told(found) == [("S1A", UNAVAILABLE), ("S1B", CHOSEN)]
    assert "maintenance" in found.decisions[0].text
    one = RULES.model_copy(update={"unavailable": (closed.model_copy(update={"station": "MTI_", "antenna": "MT1"}),)})
    (decision,) = allocate([seen("S1A", 0, station="MTI_")], one).decisions
    assert decision.antenna == "MT2"


def test_who_has_nothing_to_send_gives_way() -> None:
    rules = RULES.model_copy(update={"minimum_dump_gbit": 60.0})
    satellites = SATELLITES | {"S3A": SATELLITES["S3A"].model_copy(update={"mean_rate": 60.0})}
    passes = [seen("S3A", 0), seen("S3A", 13, station="MTI_"), seen("S3A", 26, station="NSG_")]
    found = allocate(passes, rules, satellites=satellites)
    assert [rule for _, rule in told(found)] == [CHOSEN, CHOSEN, EMPTY]
    # 356.4 Gbit at the start, 60 Mbit/s more all the time, 520 Mbit/s less while it sends.
    assert found.decisions[0].sent == pytest.approx(312, abs=0.1)
    assert found.decisions[1].sent == pytest.approx(356.4 + 23 * 60 * 0.06 - 312, abs=0.1)
    assert found.decisions[2].text == "it would send 46.8 Gbit, at least 60 are wanted"


def test_a_memory_that_will_be_full_is_told() -> None:
    recorded = Acquisition("S1A", "1", "SM", "SV", START, START + timedelta(hours=2), None)
    found = allocate([seen("S1A", 200)], acquisitions=(recorded,))
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("the memory of S1A (1400 Gbit) is full before 23 Nov 02:00")


def test_unknown_satellites_are_left_out() -> None:
    assert allocate([seen("S9A", 0)]).decisions == []
