"""Prices: those that are shipped per cloud, and what an operator says instead."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Protocol

import yaml
from pydantic import Field

from refsys.infra.model import Strict

FOLDER = Path(__file__).parent / "tables"
DEFAULT = "default"
"""Name of the price that holds for types without one of their own."""

Eur = Annotated[float, Field(ge=0)]


class Rates(Strict):
    """Prices of a cloud, EUR without VAT; what is not named here is as in the shipped table (docs/clouds/costs.md)."""

    servers: dict[str, Eur] = Field(default={}, description="an hour of a server, by type or flavour")
    volumes: dict[str, Eur] = Field(default={}, description="a GB of a volume and month, by class, or `default`")
    load_balancers: dict[str, Eur] = Field(default={}, description="an hour of a load balancer, by type or `default`")
    gateways: dict[str, Eur] = Field(default={}, description="an hour of a way out, by type or `default`")
    address_hour: Eur | None = Field(default=None, description="an hour of a public address")
    object_gb_month: Eur | None = Field(default=None, description="a GB in the cloud's object store and month")

    def overridden(self, own: "Rates") -> "Rates":
        """These prices, with those of `own` in their place."""
        merged = {
            name: {**value, **getattr(own, name)} if isinstance(value, dict) else _first(getattr(own, name), value)
            for name, value in self
            if name in Rates.model_fields
        }
        return Rates(**merged)


class Shipped(Rates):
    """A shipped table."""

    source: str = Field(min_length=10)
    date: date


class Usage(Protocol):
    """Prices by what is used (`refsys:prices`)."""

    @property
    def vcpu_hour(self) -> float:
        """EUR of a virtual processor, an hour."""

    @property
    def memory_gib_hour(self) -> float:
        """EUR of a GiB of memory, an hour."""

    @property
    def volume_gib_month(self) -> float:
        """EUR of a GiB of a volume, a month."""


class Priced(Protocol):
    """The parts of an environment's model that say what it costs."""

    @property
    def cloud(self) -> str:
        """Its cloud's name."""

    @property
    def costs(self) -> Rates:
        """The operator's own prices."""

    @property
    def prices(self) -> Usage:
        """Prices by what is used."""


@dataclass(frozen=True)
class PriceTable:
    """All prices of an environment."""

    rates: Rates
    usage: Usage
    source: str
    """Where the prices come from, with their date, for whoever reads the estimate."""
    cloud_disks: bool
    """Whether disks are paid to the cloud; what lies on them costs nothing more then."""


def prices_of(environment: Priced) -> PriceTable:
    """The shipped table of the environment's cloud with the operator's prices in it; `prices` where there is none."""
    file = FOLDER / f"{environment.cloud}.yaml"
    if not file.exists():
        return PriceTable(environment.costs, environment.prices, "refsys:prices", cloud_disks=False)
    shipped = Shipped.model_validate(yaml.safe_load(file.read_text()))
    own = " and refsys:costs" if environment.costs != Rates() else ""
    return PriceTable(
        shipped.overridden(environment.costs),
        environment.prices,
        f"{shipped.source} ({shipped.date}){own}",
        cloud_disks=True,
    )


def _first(own: float | None, shipped: float | None) -> float | None:
    return shipped if own is None else own
