"""Errors as HTTP responses, the same of every service but STAC, which has a form of its own."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from refsys.services.common.logs import get_logger
from refsys.services.distribution.odata.errors import ODataError

MESSAGE_CHARACTERS = 2000

log = get_logger()


def handle_errors(app: FastAPI) -> None:
    """Answer errors as OData bodies, unexpected ones without their inner reason."""
    app.add_exception_handler(ODataError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def error_response(error: ODataError) -> Response:
    """Return the OData body of an error with its status and headers."""
    return JSONResponse(error.body(), error.status, error.headers | {"OData-Version": "4.0"})


def _known(_: Request, error: Exception) -> Response:
    if not isinstance(error, ODataError):
        raise error
    return error_response(error)


def _invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [(".".join(map(str, each["loc"][1:])) or str(each["loc"][0]), each["msg"]) for each in error.errors()]
    message = "; ".join(f"{place}: {problem}" for place, problem in problems)[:MESSAGE_CHARACTERS]
    return error_response(ODataError(400, "InvalidParameter", message, target=problems[0][0][:200]))


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    message = "there is nothing at this address" if error.status_code == 404 else str(error.detail)
    headers = dict(error.headers or {})
    return error_response(ODataError(error.status_code, "HttpError", message, headers, target=request.url.path[:200]))


def _unexpected(request: Request, error: Exception) -> Response:
    log.error("request failed", path=request.url.path, exc_info=error)
    return error_response(ODataError(500, "InternalError", "the service failed: the operator finds why in its log"))
