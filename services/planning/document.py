"""A situation as a document: programs read it as JSON, and the page is made of it."""

from datetime import datetime
from typing import Any

from refsys.services.common.messages import iso
from refsys.services.orbits.passes import Pass
from refsys.services.orbits.readers import Acquisition, Contact
from refsys.services.planning.conflicts import Conflict
from refsys.services.planning.situation import Situation, utc

Row = dict[str, Any]


def document(found: Situation, satellite: str = "") -> Row:
    """Return all of it, or what concerns one satellite."""

    def shown(name: str) -> bool:
        return satellite in ("", name)

    listed = [each for each in found.conflicts if shown(each.satellite) or any(map(shown, _concerned(each)))]
    return {
        "start": iso(found.start),
        "stop": iso(found.stop),
        "moment": iso(found.moment),
        "orbits": {"start": iso(found.known[0]), "stop": iso(found.known[1])} if found.known else None,
        "satellites": sorted({*found.tracks, *(each.satellite for each in found.passes)}),
        "stations": [station.model_dump() for station in found.stations.values()],
        "passes": [pass_row(each) for each in found.passes if shown(each.satellite)],
        "contacts": [_contact(each, found.conflicts) for each in found.contacts if shown(each.satellite)],
        "acquisitions": [_acquisition(each) for each in found.acquisitions if shown(each.satellite)],
        "conflicts": [_conflict(each) for each in listed],
        "tracks": tracks(found, satellite),
    }


def tracks(found: Situation, satellite: str = "") -> Row:
    """Return the ground tracks as GeoJSON, cut at the antimeridian."""
    features = [
        {
            "type": "Feature",
            "properties": {"satellite": name, "time": iso(found.moment), "place": list(found.places[name])},
            "geometry": {"type": "MultiLineString", "coordinates": _cut([(float(x), float(y)) for x, y in track])},
        }
        for name, track in sorted(found.tracks.items())
        if satellite in ("", name)
    ]
    return {"type": "FeatureCollection", "features": features}


def pass_row(each: Pass) -> Row:
    """A pass: rise, highest point and set, as times; the elevation in degrees."""
    return {
        "satellite": each.satellite,
        "station": each.station,
        "rise": iso(utc(each.rise)),
        "top": iso(utc(each.top)),
        "set": iso(utc(each.set)),
        "seconds": round(each.seconds, 3),
        "elevation": round(each.elevation, 2),
        "cut": each.cut,
    }


def _contact(each: Contact, conflicts: tuple[Conflict, ...] | Any) -> Row:
    return {
        "satellite": each.satellite,
        "station": each.station,
        "antenna": each.antenna,
        "start": iso(each.start),
        "stop": iso(each.stop),
        "orbit": each.orbit,
        "received": each.received,
        "conflicts": sorted({conflict.rule for conflict in conflicts if each in conflict.contacts}),
    }


def _acquisition(each: Acquisition) -> Row:
    return {
        "satellite": each.satellite,
        "datatake": each.datatake,
        "mode": each.mode,
        "polarisation": each.polarisation,
        "start": iso(each.start),
        "stop": iso(each.stop),
        "orbit": each.orbit,
        "footprint": each.footprint,
    }


def _conflict(each: Conflict) -> Row:
    return {
        "rule": each.rule,
        "start": iso(each.start),
        "stop": iso(each.stop),
        "text": each.text,
        "satellites": sorted(_concerned(each)),
    }


def _concerned(each: Conflict) -> set[str]:
    return {contact.satellite for contact in each.contacts} | ({each.satellite} if each.satellite else set())


def _cut(track: list[tuple[float, float]]) -> list[list[list[float]]]:
    """Parts of a line, with a point on the antimeridian at both sides of a cut."""
    parts: list[list[list[float]]] = [[]]
    for index, (x, y) in enumerate(track):
        if index and abs(x - track[index - 1][0]) > 180:
            before, below = track[index - 1]
            edge = 180.0 if before > 0 else -180.0
            way = (x + (360 if edge > 0 else -360)) - before
            height = below + (y - below) * (edge - before) / way if way else y
            parts[-1].append([edge, height])
            parts.append([[-edge, height]])
        parts[-1].append([x, y])
    return [[[round(x, 4), round(y, 4)] for x, y in part] for part in parts if len(part) > 1]


def moment_of(text: str) -> datetime:
    """A time of a document."""
    return datetime.fromisoformat(text)
