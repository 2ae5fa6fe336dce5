"""The chains that are there: those of the distribution, and those that operators added."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from refsys.services.production.chains import Chain, TaskTable, triggering
from refsys.services.production.check import read_chain

SHIPPED = Path(__file__).parent / "shipped"


@cache
def shipped() -> Mapping[str, Chain]:
    """The chains of the distribution, by name."""
    chains = [read_chain(file.read_text(encoding="utf-8")) for file in sorted(SHIPPED.glob("*.yaml"))]
    return {chain.name: chain for chain in chains}


@dataclass(frozen=True)
class Place:
    """A task table, and the chain that it belongs to."""

    chain: Chain
    table: TaskTable


class Shelf:
    """Chains by what is asked of them."""

    def __init__(self, chains: Mapping[str, Chain]) -> None:
        """All chains, also those that are not enabled: their jobs go on."""
        self.chains = chains
        self._tables = {
            (chain.name, table.name): Place(chain, table) for chain in chains.values() for table in chain.task_tables
        }
        self._triggered: dict[tuple[str, str], list[Place]] = {}
        for place in self._tables.values():
            if place.chain.enabled and not (place.table.on_demand and place.table.on_demand.only):
                for cause in triggering(place.table.trigger):
                    self._triggered.setdefault(cause, []).append(place)

    def find(self, chain: str, table: str) -> Place | None:
        """A task table by its names."""
        return self._tables.get((chain, table))

    def on_demand(self) -> list[Place]:
        """The task tables that users may order jobs of."""
        return [place for place in self._tables.values() if place.chain.enabled and place.table.on_demand]

    def triggered(self, family: str, product_type: str, mission: str) -> Iterator[Place]:
        """The task tables that make a job of a product."""
        for place in self._triggered.get((family, product_type), ()):
            if place.chain.mission == mission:
                yield place
