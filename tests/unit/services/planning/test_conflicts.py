"""Each kind of conflict, and that there is none where nothing is wrong."""

from datetime import UTC, datetime, timedelta
from typing import Any

from refsys.services.orbits.passes import Pass
from refsys.services.orbits.readers import Acquisition, Contact
from refsys.services.orbits.satellites import read_satellites
from refsys.services.planning.conflicts import ANTENNA, MEMORY, SATELLITE, VISIBILITY, conflicts

START = datetime(2026, 11, 23, tzinfo=UTC)
SATELLITES = read_satellites()
KNOWN = (START.timestamp() - 3600, START.timestamp() + 86_400)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def contact(
    satellite: str, begin: float, end: float, station: str = "SGS_", antenna: str = "SG1", **more: Any
) -> Contact:
    return Contact(satellite, station, antenna, at(begin), at(end), None, **more)


def seen(satellite: str, begin: float, end: float, station: str = "SGS_") -> Pass:
    rise, end = at(begin).timestamp(), at(end).timestamp()
    return Pass(satellite, station, rise, (rise + end) / 2, end, 40)


def rules(contacts: list[Contact], passes: list[Pass], acquisitions: list[Acquisition] | None = None) -> list[str]:
    return [each.rule for each in conflicts(contacts, acquisitions or [], passes, SATELLITES, KNOWN)]


def test_nothing_is_wrong_with_contacts_in_a_row() -> None:
    passes = [seen("S1A", 0, 10), seen("S2A", 10, 20)]
    assert rules([contact("S1A", 0, 10), contact("S2A", 10, 20)], passes) == []


def test_an_antenna_has_one_contact_at_a_time() -> None:
    passes = [seen("S1A", 0, 10), seen("S2A", 5, 15)]
    assert rules([contact("S1A", 0, 10), contact("S2A", 9, 15)], passes) == [ANTENNA]
    assert rules([contact("S1A", 0, 10), contact("S2A", 9, 15, antenna="SG2")], passes) == []


def test_a_satellite_sends_to_one_station_at_a_time() -> None:
    passes = [seen("S1A", 0, 10), seen("S1A", 5, 15, "NSG_")]
    assert rules([contact("S1A", 0, 10), contact("S1A", 8, 15, "NSG_", "NS1")], passes) == [SATELLITE]


def test_a_contact_outside_visibility() -> None:
    assert rules([contact("S1A", 0, 11)], [seen("S1A", 0, 10)]) == [VISIBILITY]
    assert rules([contact("S1A", 0, 10.1)], [seen("S1A", 0, 10)]) == []  # within the tolerance


def test_visibility_is_not_judged_where_no_orbit_is_known() -> None:
    assert rules([contact("S1A", 0, 11)], []) == []
    assert rules([contact("S1A", -70, -65)], [seen("S1A", 0, 10)]) == []


def test_what_was_received_is_no_plan() -> None:
    assert rules([contact("S1A", 0, 10), contact("S1A", 0, 10, received=True)], [seen("S1A", 0, 10)]) == []


def test_more_is_recorded_than_the_memory_holds() -> None:
    def recorded(minutes: float) -> list[Acquisition]:
        return [Acquisition("S1A", "1", "SM", "SV", at(100), at(100 + minutes), None)]

    room = SATELLITES["S1A"].memory * 1000 / SATELLITES["S1A"].rate("SM") / 60
    assert rules([], [], recorded(room - 1)) == []
    assert rules([], [], recorded(room + 1)) == [MEMORY]
