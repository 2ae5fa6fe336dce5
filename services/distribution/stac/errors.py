"""Errors as STAC API asks for them: `{"code", "description"}`, OGC API Features status codes."""

import math

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from refsys.services.common.logs import get_logger
from refsys.services.distribution.odata.errors import ODataError

MAX_PROBLEMS = 5

log = get_logger()


def bad_request(parameter: str, message: str) -> ODataError:
    """Return the 400 of a parameter with a wrong value."""
    return ODataError(400, "InvalidParameterValue", f"{parameter}: {message}")


def clean_text(parameter: str, text: str) -> str:
    """Return a text that PostgreSQL can hold; 400 for any other."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise bad_request(parameter, "has a character that is not allowed (NUL or half a surrogate pair)")
    return text


def finite(parameter: str, number: float) -> float:
    """Return a number that is neither infinite nor NaN; 400 for any other."""
    if not math.isfinite(number):
        raise bad_request(parameter, "has a number that is not finite")
    return number


def known_error(_: Request, error: Exception) -> Response:
    """Return the answer of an `ODataError`, raised by what STAC and PRIP share."""
    if not isinstance(error, ODataError):
        raise error
    return JSONResponse({"code": error.code, "description": error.message}, error.status, error.headers)


def http_error(request: Request, error: Exception) -> Response:
    """Return the answer of the framework's own errors."""
    if not isinstance(error, HTTPException):
        raise error
    message = str(error.detail)
    if (error.status_code, message) == (404, "Not Found"):
        message = "there is nothing at this address"
    return known_error(request, ODataError(error.status_code, "HttpError", message, dict(error.headers or {})))


def invalid_request(request: Request, error: Exception) -> Response:
    """Return the 400 of a request whose parameters or body are not of the form that the API describes."""
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [
        f"{'.'.join(str(part) for part in problem['loc'])[:200]}: {problem['msg'][:300]}"
        for problem in error.errors()[:MAX_PROBLEMS]
    ]
    text = "; ".join(problems).encode("utf-8", "replace").decode()
    return known_error(request, ODataError(400, "InvalidParameterValue", text))


def unexpected(request: Request, error: Exception) -> Response:
    """Return the 500 of a fault of the service, which goes to its log."""
    log.error("request failed", path=request.url.path, exc_info=error)
    return known_error(request, ODataError(500, "InternalError", "the service failed: its log says why"))
