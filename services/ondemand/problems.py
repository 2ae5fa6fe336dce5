"""Errors as OGC API - Processes asks for them: problem details (RFC 7807)."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException

from refsys.services.common.logs import get_logger
from refsys.services.distribution.odata.errors import ODataError

EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"
NO_PROCESS, NO_JOB, NOT_READY = "no-such-process", "no-such-job", "result-not-ready"
_OF_STANDARD = frozenset({NO_PROCESS, NO_JOB, NOT_READY})
MAX_PROBLEMS = 5
DOWN = (OperationalError, InterfaceError, PoolTimeoutError)

log = get_logger()


def wrong_input(name: str, message: str) -> ODataError:
    """Return the 400 of an input with a wrong value."""
    return ODataError(400, "InvalidInput", f"{name}: {message}", target=name)


def handle_errors(app: FastAPI) -> None:
    """Answer errors as problem details, unexpected ones without their inner reason."""
    app.add_exception_handler(ODataError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for down in DOWN:
        app.add_exception_handler(down, _down)
    app.add_exception_handler(Exception, _unexpected)


def _known(request: Request, error: Exception) -> Response:
    if not isinstance(error, ODataError):
        raise error
    body = {
        "type": EXCEPTIONS + error.code if error.code in _OF_STANDARD else "about:blank",
        "title": error.code,
        "status": error.status,
        "detail": error.message,
        "instance": request.url.path[:500],
    }
    return JSONResponse(body, error.status, error.headers, media_type="application/problem+json")


def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [f"{'.'.join(map(str, each['loc']))[:200]}: {each['msg'][:300]}" for each in error.errors()]
    return _known(request, ODataError(400, "InvalidParameter", "; ".join(problems[:MAX_PROBLEMS])))


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = "there is nothing at this address" if error.status_code == 404 else str(error.detail)
    return _known(request, ODataError(error.status_code, "HttpError", message, dict(error.headers or {})))


def _down(request: Request, error: Exception) -> Response:
    log.error("database does not answer", path=request.url.path, error=str(error))
    message = "the database does not answer: try again"
    return _known(request, ODataError(503, "Unavailable", message, {"Retry-After": "10"}))


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    return _known(request, ODataError(500, "InternalError", "the service failed: the operator finds why in its log"))
