"""The demo: auxiliary files and downlink sessions go through the chain, from four stations to an outside client."""

from refsys.infra.demo.endpoints import DemoStation, Endpoints
from refsys.infra.demo.run import run

__all__ = ["DemoStation", "Endpoints", "run"]
