"""What files tell: orbits, planned acquisitions, contacts with stations (docs/mission-planning.md).

A file is read as somebody else's: bounded, without document types, and refused as a whole if anything in it is wrong.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO

import numpy as np
from lxml import etree

from refsys.services.catalogue.archive import explained, files_in
from refsys.services.catalogue.xml import UnreadableError, child, elements, moment, read_document, text
from refsys.services.common.names import ProductName, parse_name
from refsys.services.orbits.orbit import Orbit

ORBITS = ("AUX_POEORB", "AUX_RESORB", "AUX_PREORB", "MPL_ORBPRE")
"""Types of orbit files, the best first."""
ACQUISITIONS = ("REP_MP_MP_",)
CONTACTS = "MPL_SP"
"""How types of station plans begin; the station's code follows."""
RECEIVED = "REP_STNACQ"
DOCUMENTS = (".eof", ".kml", ".xml")
VECTORS_LIMIT = 20_000
SPEED_MAXIMUM = 12_000.0  # m/s


@dataclass(frozen=True)
class Acquisition:
    """An acquisition that is planned; the footprint is a ring of longitude and latitude in degrees, or empty."""

    satellite: str
    datatake: str
    mode: str
    polarisation: str
    start: datetime
    stop: datetime
    orbit: int | None
    footprint: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Contact:
    """A satellite's contact with a station; `received` tells that it took place. Without an antenna: not known."""

    satellite: str
    station: str
    antenna: str
    start: datetime
    stop: datetime
    orbit: int | None
    received: bool = False


@dataclass(frozen=True)
class Told:
    """What a file tells, and for what time; `station` is that of a station's plan, else empty."""

    kind: str
    satellite: str
    start: datetime
    stop: datetime
    created: datetime
    station: str = ""
    rank: int = 0
    orbit: Orbit | None = None
    acquisitions: list[Acquisition] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)


def wanted(name: str) -> bool:
    """Whether a file is one that is read, by its name."""
    return _reader(_product_type(name)) is not None


def read(name: str, content: bytes) -> Told:
    """Read a file; raises `UnreadableError` if it can't be."""
    product = parse_name(name)
    reader = _reader(product.product_type)
    if reader is None:
        raise UnreadableError(f"files of type {product.product_type} are not read")
    with explained():
        root = next(_documents(name, content), None)
        if root is None:
            raise UnreadableError(f"there is no document in it ({', '.join(DOCUMENTS)})")
    return reader(product, root, _Header.of(product, root))


def _documents(name: str, content: bytes) -> Iterator[etree._Element]:
    for file in files_in(name, BytesIO(content)).wanted(_rank):
        yield read_document(file.source, until="")


def _rank(path: str) -> int | None:
    return next((rank for rank, end in enumerate(DOCUMENTS) if path.lower().endswith(end)), None)


def _product_type(name: str) -> str:
    try:
        return parse_name(name).product_type
    except ValueError:
        return ""


@dataclass(frozen=True)
class _Header:
    start: datetime
    stop: datetime
    created: datetime

    @staticmethod
    def of(product: ProductName, root: etree._Element) -> "_Header":
        """Of the fixed header; of a document without one, of the file name."""
        header = next(elements(root, "Fixed_Header"), None)
        if header is not None:
            start, stop = (moment(text(header, f"Validity_{end}"), f"Validity_{end}") for end in ("Start", "Stop"))
            created = moment(text(header, "Creation_Date"), "Creation_Date")
        elif product.start and product.stop:
            start, stop, created = product.start, product.stop, product.generated or product.start
        else:
            raise UnreadableError("there is no Fixed_Header, and the file name tells no validity")
        if stop < start:
            raise UnreadableError("validity ends before it begins")
        return _Header(start, stop, created)


def _orbit(product: ProductName, root: etree._Element, header: _Header) -> Told:
    frame = text(root, "Ref_Frame")
    if frame != "EARTH_FIXED":
        raise UnreadableError(f"state vectors are not in the Earth-fixed frame but in {frame}")
    vectors = [_vector(each) for each in elements(root, "OSV")]
    if not 2 <= len(vectors) <= VECTORS_LIMIT:
        raise UnreadableError(f"{len(vectors)} state vectors, not 2 to {VECTORS_LIMIT}")
    states = np.array(vectors, dtype=np.float64)
    if not np.isfinite(states).all() or (np.diff(states[:, 0]) <= 0).any():
        raise UnreadableError("state vectors are not in the order of time")
    if (np.linalg.norm(states[:, 4:], axis=1) > SPEED_MAXIMUM).any():
        raise UnreadableError(f"a velocity is above {SPEED_MAXIMUM:g} m/s")
    return Told(
        kind="orbit",
        satellite=product.satellite_id,
        start=datetime.fromtimestamp(states[0, 0], UTC),
        stop=datetime.fromtimestamp(states[-1, 0], UTC),
        created=header.created,
        rank=ORBITS.index(product.product_type),
        orbit=Orbit(states[:, 0].copy(), states[:, 1:4].copy(), states[:, 4:].copy()),
    )


def _vector(vector: etree._Element) -> list[float]:
    values = {name: element.text for name in _VECTOR if (element := child(vector, name)) is not None}
    try:
        return [
            moment(values.get("UTC"), "UTC").timestamp(),
            *(float(values.get(name) or "nan") for name in _VECTOR[1:]),
        ]
    except ValueError as error:
        raise UnreadableError(f"a state vector is no numbers: {error}") from None


_VECTOR = ("UTC", "X", "Y", "Z", "VX", "VY", "VZ")


def _plan(product: ProductName, root: etree._Element, header: _Header) -> Told:
    """Acquisition segments in the public form: placemarks of KML, alone or in the data block."""
    found = [_acquisition(product, each) for each in elements(root, "Placemark")]
    if not found:
        raise UnreadableError("there is no Placemark in it: only the public form of acquisition segments (KML) is read")
    return Told("acquisitions", product.satellite_id, header.start, header.stop, header.created, acquisitions=found)


def _acquisition(product: ProductName, placemark: etree._Element) -> Acquisition:
    values = {each.get("name", ""): text(each, "value") or "" for each in elements(placemark, "Data")}
    start = moment(values.get("ObservationTimeStart") or text(placemark, "begin"), "ObservationTimeStart")
    stop = moment(values.get("ObservationTimeStop") or text(placemark, "end"), "ObservationTimeStop")
    if stop <= start:
        raise UnreadableError("an acquisition ends before it begins")
    satellite = values.get("SatelliteId", "").upper() or product.satellite_id
    if satellite != product.satellite_id:
        raise UnreadableError(f"an acquisition is of {satellite[:20]}, the file of {product.satellite_id}")
    return Acquisition(
        satellite=satellite,
        datatake=_short(values.get("DatatakeId")),
        mode=_short(values.get("Mode") or text(placemark, "name")),
        polarisation=_short(values.get("Polarisation")),
        start=start,
        stop=stop,
        orbit=_number(values.get("OrbitAbsolute")),
        footprint=_ring(text(placemark, "coordinates") or ""),
    )


def _ring(coordinates: str) -> list[tuple[float, float]]:
    try:
        points = [tuple(map(float, point.split(",")[:2])) for point in coordinates.split()]
    except ValueError:
        raise UnreadableError("coordinates are no numbers") from None
    if any(len(point) != 2 or abs(point[0]) > 180 or abs(point[1]) > 90 for point in points):
        raise UnreadableError("coordinates are no longitude and latitude")
    return [(point[0], point[1]) for point in points]


def _contacts(product: ProductName, root: etree._Element, header: _Header) -> Told:
    """A station's plan: `Data_Block/SCHEDULE/ACQ`."""
    station = product.product_type.removeprefix(CONTACTS)
    found = []
    for each in elements(root, "ACQ"):
        start, stop = (_time(each, f"Acquisition_{end}") for end in ("Start", "Stop"))
        if stop <= start:
            raise UnreadableError("a contact ends before it begins")
        antenna, orbit = _short(text(each, "Antenna")), _number(text(each, "Downlink_Orbit"))
        found.append(Contact(product.satellite_id, station, antenna, start, stop, orbit))
    satellite = product.satellite_id
    return Told("contacts", satellite, header.start, header.stop, header.created, station=station, contacts=found)


def _time(element: etree._Element, name: str) -> datetime:
    return moment(text(element, name), name)


def _received(product: ProductName, _: etree._Element, header: _Header) -> Told:
    """A station's report of what it received: the validity is the time, the file name has the station."""
    station = product.fields.get("site", "")
    contact = Contact(product.satellite_id, station, "", header.start, header.stop, None, received=True)
    start, stop, created = header.start, header.stop, header.created
    return Told("received", product.satellite_id, start, stop, created, station=station, contacts=[contact])


def _short(value: str | None) -> str:
    return (value or "").strip()[:64]


def _number(value: str | None) -> int | None:
    digits = (value or "").strip().lstrip("+")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 9 else None


Reader = Callable[[ProductName, etree._Element, _Header], Told]
_READERS: Mapping[str, Reader] = {
    **dict.fromkeys(ORBITS, _orbit),
    **dict.fromkeys(ACQUISITIONS, _plan),
    CONTACTS: _contacts,
    RECEIVED: _received,
}


def _reader(product_type: str) -> Reader | None:
    return next((reader for start, reader in _READERS.items() if product_type.startswith(start)), None)
