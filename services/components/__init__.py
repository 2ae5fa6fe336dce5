"""The chain's Pulumi components; `Chain` makes all of them."""

from refsys.services.components.application import Application, ApplicationArgs, Stored
from refsys.services.components.application import Quota as ApplicationQuota
from refsys.services.components.application_chart import ChartOf
from refsys.services.components.application_parts import Connected, connected
from refsys.services.components.chain import Chain, ChainArgs
from refsys.services.components.production import PROCESSORS, Quota
from refsys.services.components.routing import Routing, RoutingRemote
from refsys.services.components.stations import Station

__all__ = [
    "PROCESSORS",
    "Application",
    "ApplicationArgs",
    "ApplicationQuota",
    "Chain",
    "ChainArgs",
    "ChartOf",
    "Connected",
    "Quota",
    "Routing",
    "RoutingRemote",
    "Station",
    "Stored",
    "connected",
]
