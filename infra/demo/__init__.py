"""The demo: auxiliary files go through the chain, from a station to an outside client."""

from refsys.infra.demo.endpoints import DemoStation, Endpoints
from refsys.infra.demo.run import run

__all__ = ["DemoStation", "Endpoints", "run"]
