"""What stands before the application: the public address, and a limit to the size of bodies."""

import json
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 1024 * 1024


class PublicAddress:
    """Gives each request the address that clients know, so that links never repeat a header of the client."""

    def __init__(self, app: ASGIApp, url: str) -> None:
        """Wrap `app`; `url` has a scheme and a host."""
        parts = urlsplit(url)
        self._app = app
        self._scheme = parts.scheme
        self._host = parts.netloc.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its new address."""
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
            # In place: the access log reads the route and the user from the same scope.
            scope["scheme"] = self._scheme
            scope["headers"] = [*headers, (b"host", self._host)]
        await self._app(scope, receive, send)


class BodyLimit:
    """Answers 413 to a body of more than `MAX_BODY_BYTES`, which is read no further."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body up to the limit, then pass it on."""
        if scope["type"] != "http" or scope["method"] not in {"POST", "PUT", "PATCH"}:
            await self._app(scope, receive, send)
            return
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_BODY_BYTES:
                await _refuse(send)
                return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self._app(scope, replay, send)


async def _refuse(send: Send) -> None:
    text = f"the body has more than {MAX_BODY_BYTES} bytes: send a simpler geometry or filter"
    content = json.dumps({"code": "ContentTooLarge", "description": text}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": content})
