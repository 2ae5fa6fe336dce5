"""The demo: files and sessions go through the chain, from four stations to products, an outside client and KPIs."""

from refsys.infra.demo.day import Day
from refsys.infra.demo.endpoints import DemoStation, Endpoints
from refsys.infra.demo.run import run

__all__ = ["Day", "DemoStation", "Endpoints", "run"]
