"""Bodies of requests, read with a limit, and answers in OData JSON."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request as HttpRequest
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from refsys.services.distribution.odata.errors import ODataError

MAX_BODY_BYTES = 64 * 1024
ROOT = "/odata/v1"

Body = TypeVar("Body", bound=BaseModel)


class Answer(JSONResponse):
    """JSON with the headers of OData 4.0."""

    media_type = "application/json;odata.metadata=minimal;charset=utf-8"

    def __init__(self, content: object, status: int = 200, location: str | None = None) -> None:
        """Answer `status` with `content`; `location` is the address of what was made."""
        headers = {"OData-Version": "4.0"} | ({"Location": location} if location else {})
        super().__init__(content, status, headers)


def body(model: type[Body]) -> Callable[[HttpRequest], Awaitable[Body]]:
    """Return the dependency that reads the JSON of a request; no body at all is an empty object."""

    async def read(request: HttpRequest) -> Body:
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                raise ODataError(413, "BodyTooLarge", f"the body may have {MAX_BODY_BYTES} bytes")
        try:
            return model.model_validate_json(bytes(content) or b"{}")
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"
                for problem in error.errors(include_input=False, include_url=False)
            )
            raise ODataError(400, "InvalidBody", problems) from error

    return read
