"""Errors as HTTP responses."""

from fastapi.responses import JSONResponse, Response

from refsys.services.distribution.odata.errors import ODataError


def error_response(error: ODataError) -> Response:
    """Return the OData body of an error with its status and headers."""
    return JSONResponse(error.body(), error.status, error.headers | {"OData-Version": "4.0"})
