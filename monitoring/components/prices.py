"""What an environment's resources cost, as series that the rules of `monitoring/rules/finops.yml` multiply with."""

from dataclasses import asdict, dataclass

import yaml

FILE = "prices.yml"


@dataclass(frozen=True)
class Prices:
    """EUR each; the defaults are examples, to be replaced by what is paid."""

    vcpu_hour: float = 0.02
    memory_gib_hour: float = 0.003
    volume_gib_month: float = 0.05
    object_gib_month: float = 0.02
    delivered_gib: float = 0.01


def price_rules(prices: Prices) -> str:
    """Return the file of rules that record each price as `price:<name>:eur`."""
    rules = [{"record": f"price:{name}:eur", "expr": f"vector({price!r})"} for name, price in asdict(prices).items()]
    return yaml.safe_dump({"groups": [{"name": "prices", "rules": rules}]}, sort_keys=False)
