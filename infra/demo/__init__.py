"""The demo: files and sessions go through the chain, from four stations to products, an outside client and KPIs."""

from refsys.infra.demo.endpoints import DemoStation, Endpoints
from refsys.infra.demo.run import run

__all__ = ["DemoStation", "Endpoints", "run"]
