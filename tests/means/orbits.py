"""Orbit and plan files made up after the interfaces, and a real orbit file of Sentinel-1A (Copernicus data of 2017)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skyfield.api import EarthSatellite, load
from skyfield.framelib import itrs

REAL = Path(__file__).parent / "S1A_OPER_AUX_RESORB_OPOD_20171213T143838_V20171213T102737_20171213T134507.EOF.zip"
# Elements of orbits as the Sentinels have them: sun-synchronous, 98.2 degrees, 693 km (S1), 786 km (S2), 814 km (S3).
EPOCH = datetime(2026, 11, 1, tzinfo=UTC)
ELEMENTS = {
    "S1": (98.18, 14.5919, 0.0001),
    "S2": (98.56, 14.3083, 0.0001),
    "S3": (98.64, 14.2677, 0.0001),
}
COMPACT, ISO = "%Y%m%dT%H%M%S", "%Y-%m-%dT%H:%M:%S"

Array = NDArray[np.float64]
SCALE = load.timescale(builtin=True)


def satellite(name: str, turn: float = 0.0) -> EarthSatellite:
    """A satellite on an orbit of its mission, `turn` degrees ahead of its sisters."""
    inclination, motion, eccentricity = ELEMENTS[name[:2]]
    phase = (turn + 90 * (ord(name[2]) - ord("A")) + 31 * int(name[1])) % 360
    day = (EPOCH - datetime(EPOCH.year, 1, 1, tzinfo=UTC)) / timedelta(days=1) + 1
    one = f"1 40000U 14016A   {EPOCH:%y}{day:012.8f}  .00000000  00000-0  00000-0 0    0"
    shape = f"{inclination:8.4f} {47.3:8.4f} {eccentricity * 1e7:07.0f} {90.0:8.4f}"
    two = f"2 40000 {shape} {phase:8.4f} {motion:11.8f}    0"
    return EarthSatellite(f"{one}{_checksum(one)}", f"{two}{_checksum(two)}", name, SCALE)


def _checksum(line: str) -> int:
    return sum(int(each) if each.isdigit() else each == "-" for each in line) % 10


def states(name: str, start: datetime, seconds: float, step: float = 10.0) -> Array:
    """State vectors (n, 7): seconds since 1970 (UTC), position and velocity in the Earth-fixed frame, m and m/s."""
    times = start.timestamp() + np.arange(0, seconds + step, step)
    moments = SCALE.from_datetimes([datetime.fromtimestamp(each, UTC) for each in times])
    position, velocity = satellite(name).at(moments).frame_xyz_and_velocity(itrs)
    return np.column_stack([times, position.m.T, velocity.m_per_s.T])


def header(name: str, start: datetime, stop: datetime, created: datetime) -> str:
    """The header of an Earth Explorer file of a name without its extension."""
    return f"""<Earth_Explorer_Header><Fixed_Header><File_Name>{name}</File_Name><Mission>Sentinel-{name[1:3]}</Mission>
<File_Class>OPER</File_Class><File_Type>{name[9:19]}</File_Type><Validity_Period>
<Validity_Start>UTC={start:{ISO}}</Validity_Start><Validity_Stop>UTC={stop:{ISO}}</Validity_Stop></Validity_Period>
<File_Version>0001</File_Version><Source><System>TEST</System><Creator>TEST</Creator><Creator_Version>1</Creator_Version>
<Creation_Date>UTC={created:{ISO}}</Creation_Date></Source></Fixed_Header>"""


def orbit_file(
    vectors: Array, name: str, kind: str = "AUX_RESORB", created: datetime | None = None
) -> tuple[str, bytes]:
    """Name and content of an orbit file."""
    start, stop = (datetime.fromtimestamp(vectors[index, 0], UTC) for index in (0, -1))
    created = created or stop
    stem = f"{name}_OPER_{kind}_OPOD_{created:{COMPACT}}_V{start:{COMPACT}}_{stop:{COMPACT}}"
    lines = [
        f"<OSV><TAI>x</TAI><UTC>UTC={datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%S.%f}</UTC>"
        f'<Absolute_Orbit>+1</Absolute_Orbit><X unit="m">{x:.6f}</X><Y unit="m">{y:.6f}</Y><Z unit="m">{z:.6f}</Z>'
        f'<VX unit="m/s">{vx:.6f}</VX><VY unit="m/s">{vy:.6f}</VY><VZ unit="m/s">{vz:.6f}</VZ></OSV>'
        for time, x, y, z, vx, vy, vz in vectors
    ]
    text = (
        f"<?xml version='1.0'?><Earth_Explorer_File>{header(stem, start, stop, created)}"
        "<Variable_Header><Ref_Frame>EARTH_FIXED</Ref_Frame></Variable_Header></Earth_Explorer_Header>"
        f'<Data_Block type="xml"><List_of_OSVs count="{len(lines)}">{"".join(lines)}</List_of_OSVs></Data_Block>'
        "</Earth_Explorer_File>"
    )
    return f"{stem}.EOF", text.encode()


def mission_plan(
    name: str, start: datetime, stop: datetime, segments: Sequence[tuple[datetime, datetime, str]]
) -> tuple[str, bytes]:
    """Name and content of a mission plan: segments of a start, a stop and a mode."""
    created = start - timedelta(days=1)
    stem = f"{name}_OPER_REP_MP_MP__PDMC_{created:{COMPACT}}_V{start:{COMPACT}}_{stop:{COMPACT}}"
    marks = "".join(
        f"""<Placemark><name>{mode}</name><TimeSpan><begin>{begin:{ISO}}</begin><end>{end:{ISO}}</end></TimeSpan>
<ExtendedData><Data name="SatelliteId"><value>{name}</value></Data>
<Data name="DatatakeId"><value>{number + 1:X}</value></Data>
<Data name="Mode"><value>{mode}</value></Data><Data name="Polarisation"><value>DV</value></Data>
<Data name="ObservationTimeStart"><value>{begin:{ISO}}.250</value></Data>
<Data name="ObservationTimeStop"><value>{end:{ISO}}.750</value></Data>
<Data name="OrbitAbsolute"><value>5{number}</value></Data>
</ExtendedData><LinearRing><coordinates>{10 + number},40,0 {13 + number},41,0 {12 + number},45,0 {9 + number},44,0
</coordinates></LinearRing></Placemark>"""
        for number, (begin, end, mode) in enumerate(segments)
    )
    text = (
        f"<?xml version='1.0'?><Earth_Explorer_File>{header(stem, start, stop, created)}<Variable_Header/>"
        '</Earth_Explorer_Header><Data_Block type="xml"><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        f"{marks}</Document></kml></Data_Block></Earth_Explorer_File>"
    )
    return f"{stem}.EOF", text.encode()


def station_plan(
    name: str,
    station: str,
    validity: tuple[datetime, datetime],
    contacts: Sequence[tuple[datetime, datetime, str]],
    created: datetime | None = None,
) -> tuple[str, bytes]:
    """Name and content of a station's plan: contacts of a start, a stop and an antenna."""
    start, stop = validity
    created = created or start - timedelta(days=1)
    stem = f"{name}_OPER_MPL_SP{station}_PDMC_{created:{COMPACT}}_V{start:{COMPACT}}_{stop:{COMPACT}}"
    rows = "".join(
        f"<ACQ><Antenna>{antenna}</Antenna><Acquisition_Start>UTC={begin:{ISO}}.000</Acquisition_Start>"
        f"<Acquisition_Stop>UTC={end:{ISO}}.000</Acquisition_Stop><Downlink_Orbit>123</Downlink_Orbit></ACQ>"
        for begin, end, antenna in contacts
    )
    text = (
        f'<?xml version="1.0"?><Earth_Explorer_File xmlns="http://eop-cfi.esa.int/CFI">'
        f"{header(stem, start, stop, created)}<Variable_Header/></Earth_Explorer_Header>"
        f'<Data_Block type="xml"><SCHEDULE>{rows}</SCHEDULE></Data_Block></Earth_Explorer_File>'
    )
    return f"{stem}.EOF", text.encode()
