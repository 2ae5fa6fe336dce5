"""Allocates antennas to satellites, and tells of each pass what was decided, by which rule, and why.

1. A pass that is too low, too short, or at a time when nothing is received, is refused.
2. Antenna after antenna, in the order of the stations file, gets the contacts that are worth the most together, of
   those whose satellite is not sending elsewhere meanwhile.
3. Where a satellite would have too little to send, the first such contact is refused, and step 2 begins anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from refsys.services.orbits.memory import Flow, content_at, levels
from refsys.services.orbits.passes import Pass
from refsys.services.orbits.readers import Acquisition
from refsys.services.orbits.satellites import Satellite
from refsys.services.orbits.stations import Station
from refsys.services.sra.rules import Rules
from refsys.services.sra.selection import Candidate, best

THOUSANDTHS = 1000
REVOLUTION_SECONDS = 5940.0
"""What was recorded in one revolution is taken to be in the memory at the start."""

CHOSEN = "chosen"
ELEVATION, LENGTH, UNAVAILABLE = "minimum-elevation", "minimum-length", "station-unavailable"
EMPTY, BUSY, TAKEN, SETUP = "nothing-to-dump", "satellite-busy", "antenna-taken", "setup-time"


@dataclass(frozen=True)
class Decision:
    """What was decided of a pass; `antenna` of a chosen one, with what it sends in Gbit; `text` says why."""

    satellite: str
    station: str
    start: float
    stop: float
    elevation: float
    rule: str
    text: str
    antenna: str = ""
    timeliness: str = ""
    worth: int = 0
    sent: float = 0.0

    @property
    def chosen(self) -> bool:
        """Whether it is to be."""
        return self.rule == CHOSEN


@dataclass(frozen=True)
class Request:
    """What is to be allocated, from `start` to `stop` in seconds since 1970.

    `visible` are the passes above the stations' masks, `usable` those above the elevation of the rules.
    """

    start: float
    stop: float
    visible: Sequence[Pass]
    usable: Sequence[Pass]
    acquisitions: Sequence[Acquisition]


@dataclass(frozen=True)
class Allocation:
    """All decisions, in the order of time, and what they don't prevent."""

    decisions: Sequence[Decision]
    warnings: Sequence[str] = field(default_factory=tuple)


class Allocator:
    """Allocates by rules over stations and satellites; the same request always gives the same."""

    def __init__(self, rules: Rules, stations: Mapping[str, Station], satellites: Mapping[str, Satellite]) -> None:
        """Of stations, the first in the mapping comes first."""
        self._rules, self._stations, self._satellites = rules, stations, satellites

    def allocate(self, request: Request) -> Allocation:
        """Decide on each visible pass of a known satellite."""
        refused: list[Decision] = []
        candidates: list[Candidate] = []
        for each in sorted(request.visible, key=lambda each: (each.rise, each.satellite, each.station)):
            if each.satellite not in self._satellites:
                continue
            candidate = self._candidate(each, request)
            decision = self._unfit(each, candidate)
            if decision is None and candidate is not None:
                candidates.append(candidate)
            elif decision is not None:
                refused.append(decision)
        memories = {name: self._recorded(name, request) for name in sorted({each.satellite for each in candidates})}
        empty: dict[Candidate, float] = {}
        while True:
            chosen = self._choice([each for each in candidates if each not in empty])
            sent = {name: self._sent(name, flows, chosen, request) for name, flows in memories.items()}
            early = [first for name in memories if (first := self._too_little(sent[name])) is not None]
            if not early:
                break
            empty |= dict(early)
        decisions = [self._chosen(each, antenna, sent[each.satellite][each]) for each, antenna in chosen.items()]
        decisions += [self._empty(each, content) for each, content in empty.items()]
        decisions += [self._lost(each, chosen) for each in candidates if each not in chosen and each not in empty]
        decisions += refused
        order = sorted(decisions, key=lambda each: (each.start, each.satellite, each.station))
        return Allocation(order, tuple(self._overflows(memories, chosen, request)))

    def _candidate(self, seen: Pass, request: Request) -> Candidate | None:
        """The usable part of a visible pass."""
        parts = [
            each
            for each in request.usable
            if (each.satellite, each.station) == (seen.satellite, seen.station) and seen.rise <= each.top <= seen.set
        ]
        if not parts:
            return None
        part = max(parts, key=lambda each: each.seconds)
        satellite = self._satellites[seen.satellite]
        timeliness = self._urgent(seen.satellite, satellite, part.rise, request.acquisitions)
        worth = round(part.seconds * THOUSANDTHS) * self._rules.weight(satellite.mission, timeliness)
        return Candidate(part.set, part.rise, seen.satellite, seen.station, worth, part.elevation, timeliness, part.cut)

    def _urgent(self, name: str, satellite: Satellite, rise: float, acquisitions: Iterable[Acquisition]) -> str:
        """The most urgent of what the satellite recorded not long before a contact."""
        since = rise - self._rules.fresh_minutes * 60
        modes = {
            each.mode
            for each in acquisitions
            if each.satellite == name and each.start.timestamp() < rise and each.stop.timestamp() > since
        }
        found = {mode.timeliness for name, mode in satellite.modes.items() if name in modes}
        return max(
            found or {satellite.default_timeliness},
            key=lambda each: (self._rules.weight(satellite.mission, each), each),
        )

    def _unfit(self, seen: Pass, candidate: Candidate | None) -> Decision | None:
        """Why a pass can't be a contact at all, if it can't."""

        def no(rule: str, text: str) -> Decision:
            return Decision(seen.satellite, seen.station, seen.rise, seen.set, seen.elevation, rule, text)

        least = self._rules.elevation_of(seen.station)
        if candidate is None:
            return no(ELEVATION, f"it rises to {seen.elevation:.1f}° only, {least:g}° are needed")
        needed = self._rules.minimum_contact_seconds
        if candidate.seconds < needed:
            return no(LENGTH, f"it is above {least:g}° for {candidate.seconds:.0f} s only, {needed:g} s are needed")
        if not any(self._free(candidate, antenna) for antenna in self._stations[seen.station].antennas):
            return no(UNAVAILABLE, f"the station receives nothing meanwhile: {self._reason(candidate)}")
        return None

    def _free(self, candidate: Candidate, antenna: str) -> bool:
        span = _time(candidate.start), _time(candidate.stop)
        return not any(each.concerns(candidate.station, antenna, *span) for each in self._rules.unavailable)

    def _reason(self, candidate: Candidate) -> str:
        span = _time(candidate.start), _time(candidate.stop)
        station = self._stations[candidate.station]
        found = (
            each.reason
            for each in self._rules.unavailable
            if any(each.concerns(station.code, antenna, *span) for antenna in station.antennas)
        )
        return "; ".join(dict.fromkeys(found))

    def _choice(self, candidates: Sequence[Candidate]) -> dict[Candidate, str]:
        """The chosen contacts and their antennas."""
        chosen: dict[Candidate, str] = {}
        for station in self._stations.values():
            for antenna in station.antennas:
                offered = [
                    each
                    for each in candidates
                    if each.station == station.code
                    and each not in chosen
                    and self._free(each, antenna)
                    and not any(each.satellite == other.satellite and each.overlaps(other) for other in chosen)
                ]
                chosen |= dict.fromkeys(best(offered, self._rules.setup_of(station.code)), antenna)
        return chosen

    def _recorded(self, name: str, request: Request) -> list[Flow]:
        """What a satellite records: by its mission plan, or the mean where none is known."""
        satellite = self._satellites[name]
        known = [each for each in request.acquisitions if each.satellite == name]
        if not known:
            return [Flow(request.start, request.stop, satellite.mean_rate)]
        return [Flow(each.start.timestamp(), each.stop.timestamp(), satellite.rate(each.mode)) for each in known]

    def _sent(
        self, name: str, recorded: Sequence[Flow], chosen: Iterable[Candidate], request: Request
    ) -> dict[Candidate, float]:
        """What each chosen contact of a satellite sends, in Gbit."""
        own = sorted(each for each in chosen if each.satellite == name)
        satellite = self._satellites[name]
        flows = [*recorded, *(Flow(each.start, each.stop, -satellite.downlink) for each in own)]
        found = levels(flows, request.start, request.stop, satellite.memory, _at_start(satellite))
        sent = {}
        for each in own:
            before, after = content_at(found, each.start), content_at(found, each.stop)
            gained = sum(
                flow.rate * max(0.0, min(flow.stop, each.stop) - max(flow.start, each.start)) / 1000
                for flow in recorded
            )
            sent[each] = max(before + gained - after, 0.0)
        return sent

    def _too_little(self, sent: Mapping[Candidate, float]) -> tuple[Candidate, float] | None:
        least = self._rules.minimum_dump_gbit
        return next(((each, content) for each, content in sent.items() if content < least), None)

    def _overflows(
        self, memories: Mapping[str, Sequence[Flow]], chosen: Iterable[Candidate], request: Request
    ) -> Iterable[str]:
        chosen = list(chosen)
        for name, recorded in memories.items():
            satellite = self._satellites[name]
            sending = (Flow(each.start, each.stop, -satellite.downlink) for each in chosen if each.satellite == name)
            flows = [*recorded, *sending]
            found = levels(flows, request.start, request.stop, satellite.memory, _at_start(satellite))
            full = next((level for level in found if level.lost > 0), None)
            if full:
                yield (
                    f"the memory of {name} ({satellite.memory:g} Gbit) is full before {_time(full.time):%d %b %H:%M}: "
                    f"{found[-1].lost:.0f} Gbit can't be kept until they are sent"
                )

    def _chosen(self, each: Candidate, antenna: str, sent: float) -> Decision:
        urgent = f" of timeliness {each.timeliness}" if each.timeliness else ""
        weight = self._rules.weight(self._satellites[each.satellite].mission, each.timeliness)
        text = f"{each.seconds:.0f} s, each worth {weight}, with data{urgent}; sends {sent:.0f} Gbit"
        return _decision(each, CHOSEN, text, antenna=antenna, sent=round(sent, 3))

    def _empty(self, each: Candidate, content: float) -> Decision:
        least = self._rules.minimum_dump_gbit
        return _decision(each, EMPTY, f"it would send {content:.1f} Gbit, at least {least:g} are wanted")

    def _lost(self, each: Candidate, chosen: Mapping[Candidate, str]) -> Decision:
        """Why a candidate is not chosen, which of those chosen stand against it."""
        busy = [other for other in chosen if other.satellite == each.satellite and other.overlaps(each)]
        if busy:
            return _decision(each, BUSY, f"{each.satellite} sends to {busy[0].station} meanwhile")
        setup = self._rules.setup_of(each.station)
        rivals = sorted(other for other in chosen if other.station == each.station and other.overlaps(each, setup))
        told = ", ".join(
            f"{other.satellite} ({_time(other.start):%H:%M} to {_time(other.stop):%H:%M}, worth "
            f"{other.worth // THOUSANDTHS}) on {chosen[other]}"
            for other in rivals
        )
        own = f"it is worth {each.worth // THOUSANDTHS}"
        if all(other.overlaps(each) for other in rivals):
            return _decision(each, TAKEN, f"{own}; chosen instead: {told}")
        return _decision(each, SETUP, f"{own}; with {setup:g} s between contacts there is no room beside: {told}")


def _at_start(satellite: Satellite) -> float:
    return min(satellite.mean_rate * REVOLUTION_SECONDS / 1000, satellite.memory)


def _decision(each: Candidate, rule: str, text: str, *, antenna: str = "", sent: float = 0.0) -> Decision:
    return Decision(
        each.satellite, each.station, each.start, each.stop, each.elevation, rule, text,
        antenna=antenna, timeliness=each.timeliness, worth=each.worth, sent=sent,
    )  # fmt: skip


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
