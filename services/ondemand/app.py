"""On-demand production as an ASGI application."""

from fastapi import FastAPI
from prometheus_client import Histogram

from refsys.services.common.lifespan import repeating
from refsys.services.common.logs import get_logger
from refsys.services.common.operations import Health
from refsys.services.distribution.app import AccessLog
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.limits import Limits
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.ondemand.api import router
from refsys.services.ondemand.documents import Addresses
from refsys.services.ondemand.orders import Orders
from refsys.services.ondemand.problems import handle_errors
from refsys.services.ondemand.processes import Processes
from refsys.services.ondemand.telling import tell

REQUESTS = Histogram(
    "refsys_ondemand_request_seconds",
    "Seconds until the answer is sent, by route and status",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

log = get_logger()


def create_app(
    orders: Orders, processes: Processes, authenticator: Authenticator, addresses: Addresses, health: Health
) -> FastAPI:
    """Return the application over its parts; while it lives, subscribers are told and old orders forgotten."""

    def look() -> None:
        try:
            orders.entities.check()
            health.ready()
            tell(orders.entities, addresses)
            orders.forget_old()
        except ODataError as error:
            log.warning("the database does not answer", error=error.message)
            health.not_ready(error.message)

    app = FastAPI(
        title="On-demand production",
        description="OGC API - Processes over the production chain",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=repeating(look),
    )
    app.state.orders = orders
    app.state.processes = processes
    app.state.authenticator = authenticator
    app.state.addresses = addresses
    app.include_router(router)
    handle_errors(app)
    app.add_middleware(Limits)
    app.add_middleware(AccessLog, REQUESTS)
    return app
