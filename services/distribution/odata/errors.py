"""OData error responses (OData 4.0 JSON format, section 19)."""

from typing import Any


class ODataError(Exception):
    """A request that cannot be served, with the HTTP status and OData error code that say why.

    The message is shown to the client: it says what is wrong and how to put it right.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None, target: str | None = None
    ) -> None:
        """Keep the HTTP `status`, the OData `code`, the `message`, more headers and the part that is wrong."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.target = target

    def body(self) -> dict[str, Any]:
        """Return the error as OData's JSON error object."""
        error = {"code": self.code, "message": self.message}
        return {"error": error if self.target is None else error | {"target": self.target}}


def bad_filter(message: str) -> ODataError:
    """Return the 400 of a `$filter` that cannot be understood."""
    return ODataError(400, "InvalidFilter", message, target="$filter")


def bad_option(option: str, message: str) -> ODataError:
    """Return the 400 of a query option with a wrong value."""
    return ODataError(400, "InvalidQueryOption", f"{option}: {message}", target=option)
