"""Requests with an address or headers that no client needs are refused before anything reads them."""

from starlette.types import ASGIApp, Receive, Scope, Send

from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.responses import error_response

# Enough for the longest $filter with every character percent-encoded.
ADDRESS_BYTES = 56 * 1024
HEADER_BYTES = 32 * 1024


class Limits:
    """Answers 400, 414 and 431 (RFC 9110, RFC 6585)."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on if it is of a usual size and kind."""
        if scope["type"] == "http" and (problem := _problem(scope)):
            await error_response(problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _problem(scope: Scope) -> ODataError | None:
    address = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
    if address > ADDRESS_BYTES:
        message = f"the address has {address} bytes, at most {ADDRESS_BYTES} are allowed: use shorter lists in $filter"
        return ODataError(414, "AddressTooLong", message, target="URL")
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:  # no text of PostgreSQL has one
        return ODataError(400, "InvalidAddress", "the address has a NUL character (%00): leave it out", target="URL")
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    if headers > HEADER_BYTES:
        message = f"the headers have {headers} bytes, at most {HEADER_BYTES} are allowed"
        return ODataError(431, "HeadersTooLarge", message, target="headers")
    return None
