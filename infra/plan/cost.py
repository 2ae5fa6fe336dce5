"""What an environment costs a month before and after a change, and which resources make the difference."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from refsys.infra.costs import Estimate, PriceTable, monthly, prices_of
from refsys.infra.environment import Environment
from refsys.infra.plan.changes import Plan

CENT = 0.005


@dataclass(frozen=True)
class Costs:
    """Both estimates; EUR."""

    before: Estimate
    after: Estimate
    source: str
    """Where the prices come from."""

    @classmethod
    def of(cls, environment: Environment, plan: Plan) -> "Costs":
        """Price what is there, and what would be."""
        prices: PriceTable = prices_of(environment)
        return cls(monthly(plan.before, prices), monthly(plan.after, prices), prices.source)

    def differences(self) -> dict[str, float]:
        """EUR a month that each resource costs more or less."""
        found: dict[str, float] = {}
        for estimate, sign in ((self.before, -1), (self.after, 1)):
            for line in estimate.lines:
                found[line.name] = found.get(line.name, 0.0) + sign * line.eur
        return {name: eur for name, eur in found.items() if abs(eur) >= CENT}

    def lines(self) -> Iterator[Text]:
        """For people."""
        before, after = self.before.total, self.after.total
        yield Text.assemble(("cost a month ", "bold"), f"{before:.2f} → {after:.2f} EUR", (f"  ({self.source})", "dim"))
        for name, eur in self.differences().items():
            yield Text.assemble("  ", name, (f" {eur:+.2f}", "red" if eur > 0 else "green"))
        for unknown in self.after.unpriced:
            yield Text(f"  without a price: {unknown}", style="yellow")

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "before_eur": round(self.before.total, 2),
            "after_eur": round(self.after.total, 2),
            "differences_eur": {name: round(eur, 2) for name, eur in self.differences().items()},
            "unpriced": list(self.after.unpriced),
            "source": self.source,
        }
