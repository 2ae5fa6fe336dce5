"""The operators' API as an ASGI application: every address asks for the role `operator`."""

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Engine, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from refsys.services.common.lifespan import repeating
from refsys.services.common.logs import get_logger
from refsys.services.common.operations import Health
from refsys.services.common.settings import ApiKeySettings
from refsys.services.dead_letters.api import router as dead_letters
from refsys.services.distribution.app import AccessLog
from refsys.services.distribution.auth import OPERATOR, Authenticator, require
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.lifecycle.api import router as lifecycle
from refsys.services.reconciliation.api import router as reconciliation

DOWN = (OperationalError, InterfaceError, PoolTimeoutError)

log = get_logger()


def create_app(engine: Engine, authenticator: Authenticator, api_key: ApiKeySettings, health: Health) -> FastAPI:
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
    app.state.authenticator = authenticator
    app.state.api_key = api_key
    for router in (lifecycle, reconciliation, dead_letters):
        app.include_router(router, dependencies=[Depends(require(OPERATOR))])
    app.add_exception_handler(ODataError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
    for error in DOWN:
        app.add_exception_handler(error, _down)
    app.add_middleware(AccessLog)
    return app


def _ask(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(select(1))


def _answer(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(ODataError(status, code, message).body(), status, headers)


def _known(_: Request, error: Exception) -> Response:
    if not isinstance(error, ODataError):
        raise error
    return JSONResponse(error.body(), error.status, error.headers)


def _invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
    return _answer(400, "InvalidRequest", "; ".join(problems)[:2000])


def _http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = "there is nothing at this address" if error.status_code == 404 else str(error.detail)
    return _answer(error.status_code, "HttpError", message, dict(error.headers or {}))


def _down(request: Request, error: Exception) -> Response:
    log.error("database does not answer", path=request.url.path, error=str(error))
    return _answer(503, "Unavailable", "the database does not answer: try again", {"Retry-After": "10"})


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    return _answer(500, "InternalError", "the service failed: the operator finds why in its log")
