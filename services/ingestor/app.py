"""The ingestor as an ASGI application, with the errors, log lines and probes of the PRIP."""

from fastapi import FastAPI, Request
from fastapi.responses import Response
from prometheus_client import Histogram
from sqlalchemy.exc import DBAPIError

from refsys.services.common.operations import Health
from refsys.services.distribution.app import AccessLog, watch
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.limits import Limits
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.repository import explained
from refsys.services.distribution.responses import error_response, handle_errors
from refsys.services.ingestor.api import router
from refsys.services.ingestor.storage import Volume
from refsys.services.ingestor.uploads import Uploads

REQUESTS = Histogram(
    "refsys_ingestor_request_seconds",
    "Seconds until the answer is sent, by route and status",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600),
)


def create_app(uploads: Uploads, volume: Volume, authenticator: Authenticator, health: Health) -> FastAPI:
    """Return the application over its parts."""
    app = FastAPI(title="Ingestor", docs_url=None, redoc_url=None, openapi_url=None, lifespan=watch(uploads, health))
    app.state.authenticator = authenticator
    app.include_router(router(uploads, volume))
    handle_errors(app)
    app.add_exception_handler(DBAPIError, _database_error)
    app.add_middleware(Limits)
    app.add_middleware(AccessLog, requests=REQUESTS)
    return app


def _database_error(_: Request, error: Exception) -> Response:
    found = explained(error) if isinstance(error, DBAPIError) else error
    if not isinstance(found, ODataError):
        raise found
    return error_response(found)
