"""Files as they come: what they tell, and what is refused."""

import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
from tests.means.orbits import REAL, mission_plan, orbit_file, states, station_plan

from refsys.services.catalogue.xml import UnreadableError
from refsys.services.orbits.readers import read, wanted

START = datetime(2026, 11, 23, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_orbit_files_give_what_was_written() -> None:
    vectors = states("S2B", START, 600)
    name, content = orbit_file(vectors, "S2B", "AUX_PREORB")
    told = read(name, content)
    assert told.orbit is not None
    assert (told.satellite, told.rank, told.start) == ("S2B", 2, START)
    assert abs(told.orbit.positions - vectors[:, 1:4]).max() < 1e-5
    assert told.orbit.times[-1] - told.orbit.times[0] == 600


def test_mission_plans_give_acquisitions() -> None:
    segments = [(START + HOUR, START + HOUR * 1.2, "IW"), (START + 2 * HOUR, START + 2.1 * HOUR, "EW")]
    name, content = mission_plan("S1A", START, START + 12 * HOUR, segments)
    told = read(name, content)
    assert (told.kind, told.satellite, told.start, told.stop) == ("acquisitions", "S1A", START, START + 12 * HOUR)
    first, second = told.acquisitions
    assert (first.mode, first.polarisation, first.datatake, first.orbit) == ("IW", "DV", "1", 50)
    assert first.start == START + HOUR + timedelta(milliseconds=250)
    assert second.footprint[0] == (11.0, 40.0)


def test_a_bare_kml_in_an_archive_is_read() -> None:
    name, content = mission_plan("S1A", START, START + HOUR, [(START, START + HOUR / 4, "IW")])
    kml = content[content.index(b"<kml") : content.index(b"</kml>") + 6]
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("plan.kml", kml)
    told = read(f"{name}.zip", packed.getvalue())
    assert [each.mode for each in told.acquisitions] == ["IW"]
    assert told.start == START


def test_station_plans_give_contacts() -> None:
    name, content = station_plan("S1A", "SGS_", (START, START + HOUR), [(START, START + HOUR / 6, "SG1")])
    told = read(name, content)
    assert (told.kind, told.station) == ("contacts", "SGS_")
    (contact,) = told.contacts
    assert (contact.antenna, contact.station, contact.orbit, contact.received) == ("SG1", "SGS_", 123, False)


def test_station_reports_are_contacts_that_took_place() -> None:
    stem = "S1B_OPER_REP_STNACQ_SGS__20210830T150224_V20210830T145043_20210830T145217"
    told = read(
        f"{stem}.EOF",
        b"<Earth_Explorer_File><Fixed_Header><Validity_Start>UTC=2021-08-30T14:50:43</Validity_Start>"
        b"<Validity_Stop>UTC=2021-08-30T14:52:17</Validity_Stop><Creation_Date>UTC=2021-08-30T15:02:24</Creation_Date>"
        b"</Fixed_Header></Earth_Explorer_File>",
    )
    (contact,) = told.contacts
    assert (contact.station, contact.received, contact.stop - contact.start) == ("SGS_", True, timedelta(seconds=94))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b"EARTH_FIXED", b"TRUE_OF_DATE"), "Earth-fixed frame"),
        ((b"<UTC>UTC=2026-11-23T00:00:10", b"<UTC>"), "UTC is not a time"),
        ((b'<X unit="m">', b'<X unit="m">x'), "no numbers"),
        ((b'<VX unit="m/s">-', b'<VX unit="m/s">-9'), "velocity"),
        ((b"<OSV>", b"<OSX>"), "malformed"),
        ((b"<?xml version='1.0'?>", b"<!DOCTYPE x [<!ENTITY a 'b'>]>"), "document type"),
        ((b"<Fixed_Header>", b"<Fixed_Header><!--"), "malformed"),
        ((b"UTC=2026-11-23T00:00:10", b"UTC=2026-11-22T00:00:10"), "order of time"),
    ],
)
def test_wrong_orbit_files_are_refused(change: tuple[bytes, bytes], reason: str) -> None:
    name, content = orbit_file(states("S1A", START, 60), "S1A")
    assert change[0] in content
    with pytest.raises(UnreadableError, match=reason):
        read(name, content.replace(*change))


def test_a_plan_of_another_satellite_is_refused() -> None:
    name, content = mission_plan("S1A", START, START + HOUR, [(START, START + HOUR / 4, "IW")])
    with pytest.raises(UnreadableError, match="of S1C"):
        read(name, content.replace(b"<value>S1A", b"<value>S1C"))


def test_a_broken_archive_is_refused() -> None:
    with pytest.raises(UnreadableError, match="broken"):
        read(REAL.name, REAL.read_bytes()[:20_000])


def test_what_is_wanted() -> None:
    assert wanted(REAL.name)
    assert wanted("S1A_OPER_MPL_ORBPRE_20190711T200257_20190718T200257_0001.EOF")
    assert not wanted("S1A_AUX_CAL_V20171017T080000_G20171013T101200.SAFE")
    assert not wanted("README.md")
