"""The metadata search as an ASGI application."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI
from prometheus_client import Histogram

from refsys.services.common.bus import Producer
from refsys.services.common.lifespan import repeating
from refsys.services.common.logs import get_logger
from refsys.services.common.operations import Health
from refsys.services.distribution.app import AccessLog
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.limits import Limits
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.responses import handle_errors
from refsys.services.search.api import search
from refsys.services.search.deletion import Deletions
from refsys.services.search.operations import operations
from refsys.services.search.repository import Catalogued

REQUESTS = Histogram(
    "refsys_metadata_search_request_seconds",
    "Seconds until the answer is sent, by route and status",
    ["route", "method", "status"],
)

log = get_logger()


def create_app(
    catalogued: Catalogued, deletions: Deletions, producer: Producer, authenticator: Authenticator, health: Health
) -> FastAPI:
    """Return the application over its parts; while it lives it completes open deletions."""
    app = FastAPI(
        title="Metadata search",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_watch(catalogued, deletions, health),
    )
    app.state.catalogued = catalogued
    app.state.deletions = deletions
    app.state.producer = producer
    app.state.authenticator = authenticator
    app.include_router(operations)
    app.include_router(search)
    handle_errors(app)
    app.add_middleware(Limits)
    app.add_middleware(AccessLog, requests=REQUESTS)
    return app


def _watch(
    catalogued: Catalogued, deletions: Deletions, health: Health
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    def check() -> None:
        try:
            catalogued.check()
            health.ready()
            deletions.resume()
        except ODataError as error:
            health.not_ready(error.message)
        except Exception as error:
            log.error("open deletions could not be completed", exc_info=error)

    return repeating(check)
