"""The chain's Pulumi components; `Chain` makes all of them."""

from refsys.services.components.chain import Chain, ChainArgs
from refsys.services.components.production import PROCESSORS, Quota
from refsys.services.components.routing import Routing, RoutingRemote
from refsys.services.components.stations import Station

__all__ = ["PROCESSORS", "Chain", "ChainArgs", "Quota", "Routing", "RoutingRemote", "Station"]
