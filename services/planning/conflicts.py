"""What can't be, or should not, of what is planned."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations

from refsys.services.orbits.memory import Flow, levels
from refsys.services.orbits.passes import Pass
from refsys.services.orbits.readers import Acquisition, Contact
from refsys.services.orbits.satellites import Satellite

TOLERANCE_SECONDS = 10.0
"""Predicted orbits are good to tenths of a second, plans are made days before."""

ANTENNA, SATELLITE, VISIBILITY, MEMORY = "antenna-overlap", "satellite-overlap", "outside-visibility", "memory-full"


@dataclass(frozen=True)
class Conflict:
    """What is wrong from `start` to `stop`, in words, and the contacts that are concerned."""

    rule: str
    start: datetime
    stop: datetime
    text: str
    contacts: tuple[Contact, ...] = ()
    satellite: str = ""


def conflicts(
    contacts: Sequence[Contact],
    acquisitions: Sequence[Acquisition],
    passes: Sequence[Pass],
    satellites: Mapping[str, Satellite],
    known: tuple[float, float],
) -> list[Conflict]:
    """Return all conflicts in the order of time; passes are known of their satellites for the time `known`."""
    planned = [contact for contact in contacts if not contact.received]
    found = [
        *_overlaps(planned),
        *_invisible(planned, passes, known),
        *_full(planned, acquisitions, satellites),
    ]
    return sorted(found, key=lambda each: (each.start, each.rule, each.text))


def _overlaps(planned: Sequence[Contact]) -> Iterator[Conflict]:
    for one, other in combinations(sorted(planned, key=lambda each: (each.start, each.satellite, each.station)), 2):
        start, stop = max(one.start, other.start), min(one.stop, other.stop)
        if start >= stop:
            continue
        if one.station == other.station and one.antenna and one.antenna == other.antenna:
            text = (
                f"antenna {one.antenna} of {one.station} is planned for {one.satellite} and {other.satellite} at once"
            )
            yield Conflict(ANTENNA, start, stop, text, (one, other))
        elif one.satellite == other.satellite:
            text = f"{one.satellite} is planned to send to {one.station} and {other.station} at once"
            yield Conflict(SATELLITE, start, stop, text, (one, other), one.satellite)


def _invisible(planned: Sequence[Contact], passes: Sequence[Pass], known: tuple[float, float]) -> Iterator[Conflict]:
    seen: dict[tuple[str, str], list[Pass]] = defaultdict(list)
    for each in passes:
        seen[each.satellite, each.station].append(each)
    judged = {each.satellite for each in passes}
    for contact in planned:
        start, stop = contact.start.timestamp(), contact.stop.timestamp()
        if contact.satellite not in judged or start < known[0] or stop > known[1]:
            continue
        visible = [
            each
            for each in seen[contact.satellite, contact.station]
            if each.rise - TOLERANCE_SECONDS <= start and stop <= each.set + TOLERANCE_SECONDS
        ]
        if not visible:
            text = f"{contact.satellite} is not above the horizon of {contact.station} all the time of the contact"
            yield Conflict(VISIBILITY, contact.start, contact.stop, text, (contact,), contact.satellite)


def _full(
    planned: Sequence[Contact], acquisitions: Sequence[Acquisition], satellites: Mapping[str, Satellite]
) -> Iterator[Conflict]:
    for name, satellite in satellites.items():
        recorded = [each for each in acquisitions if each.satellite == name]
        if not recorded:
            continue
        flows = [Flow(each.start.timestamp(), each.stop.timestamp(), satellite.rate(each.mode)) for each in recorded]
        sent = [each for each in planned if each.satellite == name]
        flows += [Flow(each.start.timestamp(), each.stop.timestamp(), -satellite.downlink) for each in sent]
        start, stop = min(each.start for each in flows), max(each.stop for each in flows)
        found = levels(flows, start, stop, satellite.memory)
        full = next((level for level in found if level.lost > 0), None)
        if full is None:
            continue
        lost, time = found[-1].lost, datetime.fromtimestamp(full.time, UTC)
        text = (
            f"the memory of {name} ({satellite.memory:g} Gbit) is full before {time:%d %b %H:%M}, even if it was empty "
            f"at the start: {lost:.0f} Gbit of the plan can't be kept until they are sent"
        )
        yield Conflict(MEMORY, time, datetime.fromtimestamp(stop, UTC), text, (), name)
