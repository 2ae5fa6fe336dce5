"""What an environment costs in a month, from the resources that its stack declares and a table of prices."""

from refsys.infra.costs.estimate import Declared, Estimate, Line, ResourceLike, monthly
from refsys.infra.costs.table import PriceTable, Rates, prices_of

__all__ = ["Declared", "Estimate", "Line", "PriceTable", "Rates", "ResourceLike", "monthly", "prices_of"]
