"""The estimate: lines of what costs, and what could not be priced."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from refsys.infra.costs.resources import BY_USE, RULES
from refsys.infra.costs.table import PriceTable


class ResourceLike(Protocol):
    """A resource as a preview or a state shows it."""

    @property
    def type(self) -> str:
        """Pulumi's type token, as in `scaleway:instance/server:Server`."""

    @property
    def name(self) -> str:
        """The resource's name in the program."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Its inputs, with names as the engine passes them."""


@dataclass(frozen=True)
class Declared:
    """A resource of one's own making."""

    type: str
    name: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """What one resource costs."""

    name: str
    type: str
    kind: str
    """`nodes`, `volumes`, `load balancers`, `gateways` or `addresses`."""
    what: str
    """What is paid for, as in `POP2-4C-16G` or `100 GB sbs_5k`."""
    eur: float
    """In a month."""


@dataclass(frozen=True)
class Estimate:
    """What resources cost in a month."""

    lines: tuple[Line, ...]
    by_use: tuple[str, ...]
    """What costs by what will be stored, which nobody knows beforehand, with its price."""
    unpriced: tuple[str, ...]
    """Resources that cost, but for which there is no price, with the reason."""

    @property
    def total(self) -> float:
        """All lines together, EUR a month."""
        return sum(line.eur for line in self.lines)

    def by_kind(self) -> dict[str, float]:
        """EUR a month by kind, the dearest first."""
        found: dict[str, float] = {}
        for line in self.lines:
            found[line.kind] = found.get(line.kind, 0.0) + line.eur
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def monthly(resources: Iterable[ResourceLike], prices: PriceTable) -> Estimate:
    """Price resources; those that cost nothing leave no trace in the estimate."""
    lines: list[Line] = []
    by_use: list[str] = []
    unpriced: list[str] = []
    for resource in resources:
        rule = RULES.get(resource.type)
        for charge in rule(resource.inputs, prices) if rule else ():
            if charge.eur is None:
                unpriced.append(f"{resource.name}: {charge.what}")
            elif charge.kind == BY_USE:
                by_use.append(f"{resource.name}: {charge.what}")
            else:
                lines.append(Line(resource.name, resource.type, charge.kind, charge.what, charge.eur))
    return Estimate(tuple(lines), tuple(by_use), tuple(unpriced))
