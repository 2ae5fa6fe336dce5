"""Five lines, from the machine up: how each layer is, by its figures and by the alerts of its areas."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from refsys.services.overview.alerts import Alert
from refsys.services.overview.gather import ALERTMANAGER, Gathered

State = Literal["well", "look", "unknown", "bad"]
SYSTEM, PROCESSING = "kube-system", "processing"


class Part(NamedTuple):
    """What a line tells of one thing."""

    state: State
    text: str


@dataclass(frozen=True)
class Health:
    """A line."""

    layer: str
    state: State
    text: str
    alerts: Sequence[Alert]


def health(found: Gathered, alerts: Sequence[Alert]) -> list[Health]:
    """Return the five lines."""
    return [
        _line(layer, parts(found), [alert for alert in alerts if alert.area in areas and not alert.held], found)
        for layer, (areas, parts) in LAYERS.items()
    ]


def _line(layer: str, parts: Sequence[Part], alerts: Sequence[Alert], found: Gathered) -> Health:
    states = [part.state for part in parts]
    states += ["bad" if alert.severity == "critical" else "look" for alert in alerts if alert.severity != "low"]
    texts = [part.text for part in parts]
    if ALERTMANAGER in found.missing:
        states.append("unknown")
        texts.append("alerts not known")
    elif not alerts:
        texts.append("no alerts")
    order: tuple[State, ...] = ("bad", "unknown", "look")
    return Health(layer, next((state for state in order if state in states), "well"), ", ".join(texts), alerts)


def _machine(found: Gathered) -> list[Part]:
    left = [
        Part("well", f"{name} {value:.0%} free")
        for name, value in (("disk", found.fact("diskLeft")), ("memory", found.fact("memoryLeft")))
        if value is not None
    ]
    return [_all("nodes answer", found.fact("nodesUp") or 0, found.fact("nodes")), *left]


def _cluster(found: Gathered) -> list[Part]:
    nodes = _all("nodes ready", found.fact("nodesReady"), found.fact("nodesKnown"))
    return [nodes, _workloads(found, lambda namespace: namespace == SYSTEM)]


def _platform(found: Gathered) -> list[Part]:
    others = _workloads(found, lambda namespace: namespace not in {SYSTEM, PROCESSING})
    return [others, _answers("identity", found.fact("identity"))]


def _chain(found: Gathered) -> list[Part]:
    parts = [
        _workloads(found, lambda namespace: namespace == PROCESSING),
        _answers("PRIP", found.fact("prip")),
    ]
    if stations := found.fact("stations"):
        parts.append(_all("stations answer", found.fact("stationsUp"), stations, otherwise="look"))
    if (chain := found.answers.get("chain")) is None:
        return [*parts, Part("unknown", "dead letters not known")]
    letters = chain["deadLetters"]["waiting"]
    dead = Part("look" if letters else "well", f"{letters} dead letter{'' if letters == 1 else 's'}")
    return [*parts, dead, Part("well", f"{chain['inWork']['count']} files in work")]


def _security(found: Gathered) -> list[Part]:
    ends = found.fact("certificateDays")
    return [Part("unknown", "certificates not known") if ends is None else _certificates(ends)]


def _certificates(days: float) -> Part:
    return Part("well", "certificates hold") if days > 0 else Part("bad", "a certificate has ended")


def _all(text: str, there: float | None, wanted: float | None, otherwise: State = "bad") -> Part:
    if there is None or wanted is None:
        return Part("unknown", f"{text}: not known")
    return Part("well" if there >= wanted else otherwise, f"{there:g} of {wanted:g} {text}")


def _answers(name: str, value: float | None) -> Part:
    if value is None:
        return Part("unknown", f"{name}: not known")
    return Part("well", f"{name} answers") if value else Part("bad", f"{name} does not answer")


def _workloads(found: Gathered, which: Callable[[str], bool]) -> Part:
    wanted = {namespace: count for namespace, count in found.by_label("workloads").items() if which(namespace)}
    complete = found.by_label("complete")
    there = sum(complete.get(name, 0) for name in wanted)
    return _all("workloads complete", there, sum(wanted.values()) if wanted else None)


LAYERS: Mapping[str, tuple[Sequence[str], Callable[[Gathered], list[Part]]]] = {
    "machine": (("nodes",), _machine),
    "cluster": (("cluster",), _cluster),
    "platform": (("platform", "monitoring"), _platform),
    "chain": (("chain", "slo"), _chain),
    "security": (("security",), _security),
}
"""By layer the areas of its alerts, and what its line tells."""
