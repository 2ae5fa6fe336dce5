"""The operators' API as an ASGI application: every address asks for the role `operator`."""

from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from sqlalchemy import Engine, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from refsys.services.common.lifespan import repeating
from refsys.services.common.logs import get_logger
from refsys.services.common.operations import Health
from refsys.services.common.settings import ApiKeySettings
from refsys.services.dead_letters.api import router as dead_letters
from refsys.services.distribution.app import AccessLog
from refsys.services.distribution.auth import OPERATOR, Authenticator, require
from refsys.services.distribution.limits import Limits
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.responses import error_response, handle_errors
from refsys.services.jobs.api import router as jobs
from refsys.services.kpi.api import router as kpi
from refsys.services.lifecycle.api import router as lifecycle
from refsys.services.logs.api import router as logs
from refsys.services.logs.store import LogStore, StoreDownError
from refsys.services.metrics.api import router as metrics
from refsys.services.metrics.prometheus import Prometheus, PrometheusDownError
from refsys.services.operations.chain import router as chain
from refsys.services.operations.products import router as products
from refsys.services.overview.api import router as overviews
from refsys.services.overview.overview import Overview
from refsys.services.preparation.api import router as chains
from refsys.services.reconciliation.api import router as reconciliation

DOWN = (OperationalError, InterfaceError, PoolTimeoutError)

log = get_logger()


def create_app(  # noqa: PLR0917  # its parts
    engine: Engine,
    log_store: LogStore,
    prometheus: Prometheus,
    overview: Overview,
    authenticator: Authenticator,
    api_key: ApiKeySettings,
    health: Health,
) -> FastAPI:
    """Return the application over its parts; while it lives, the probes tell whether the database answers."""

    def check() -> None:
        try:
            _ask(engine)
        except DOWN as error:
            health.not_ready(f"database: {error}")
        else:
            health.ready()

    app = FastAPI(title="Operations", docs_url=None, redoc_url=None, openapi_url=None, lifespan=repeating(check))
    app.state.engine = engine
    app.state.log_store = log_store
    app.state.prometheus = prometheus
    app.state.overview = overview
    app.state.authenticator = authenticator
    app.state.api_key = api_key
    for router in (
        *(chain, lifecycle, reconciliation, dead_letters, logs, metrics, products, kpi, overviews),
        *(chains, jobs),
    ):
        app.include_router(router, dependencies=[Depends(require(OPERATOR))])
    handle_errors(app)
    for error in DOWN:
        app.add_exception_handler(error, _down)
    app.add_exception_handler(StoreDownError, _logs_down)
    app.add_exception_handler(PrometheusDownError, _metrics_down)
    app.add_middleware(Limits)
    app.add_middleware(AccessLog)
    return app


def _ask(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(select(1))


def _down(request: Request, error: Exception) -> Response:
    log.error("database does not answer", path=request.url.path, error=str(error))
    return _unavailable("the database does not answer: try again")


def _logs_down(request: Request, error: Exception) -> Response:
    log.error("log store does not answer", path=request.url.path, error=str(error))
    return _unavailable("the log store does not answer: try again")


def _metrics_down(request: Request, error: Exception) -> Response:
    log.error("Prometheus does not answer", path=request.url.path, error=str(error))
    return _unavailable("Prometheus does not answer: try again")


def _unavailable(message: str) -> Response:
    return error_response(ODataError(503, "Unavailable", message, {"Retry-After": "10"}))
