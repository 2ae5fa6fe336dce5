"""The PRIP as an ASGI application: endpoints, errors as OData bodies, one log line and metrics a request."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from fastapi import Depends, FastAPI
from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from refsys.services.common.lifespan import repeating
from refsys.services.common.logs import get_logger
from refsys.services.common.operations import Health
from refsys.services.distribution.access import DEFAULT, Roles
from refsys.services.distribution.api import odata, operations
from refsys.services.distribution.auth import OPERATOR, Authenticator, require
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.limits import Limits
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.repository import Products
from refsys.services.distribution.responses import handle_errors
from refsys.services.routing.api import routing_operations

REQUESTS = Histogram(
    "refsys_prip_request_seconds",
    "Seconds until the answer is sent, by route and status",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600),
)

log = get_logger()


def create_app(
    products: Products,
    downloads: Downloads,
    authenticator: Authenticator,
    public_url: str,
    health: Health,
    *,
    roles: Roles = DEFAULT,
) -> FastAPI:
    """Return the application over its parts; `public_url` is the address that clients know."""
    app = FastAPI(title="PRIP", docs_url=None, redoc_url=None, openapi_url=None, lifespan=watch(products, health))
    app.state.products = products
    app.state.downloads = downloads
    app.state.quotas = downloads.quotas
    app.state.roles = roles
    app.state.engine = products.engine
    app.state.authenticator = authenticator
    app.state.public_url = public_url.rstrip("/")
    app.include_router(odata)
    app.include_router(operations)
    app.include_router(routing_operations, prefix="/operations/v1", dependencies=[Depends(require(OPERATOR))])
    handle_errors(app)
    app.add_middleware(Limits)
    app.add_middleware(AccessLog)
    return app


class AccessLog:
    """Writes one structured line and one metric a request; queries are logged, headers never."""

    def __init__(self, app: ASGIApp, requests: Histogram = REQUESTS) -> None:
        """Wrap `app`; `requests` has the labels `route`, `method` and `status`."""
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and observe its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, sent = time.monotonic(), 0, 0

        async def observed(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "other")
            self._requests.labels(route, scope["method"], str(status)).observe(seconds)
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"][:500],
                query=scope["query_string"].decode("latin-1")[:2000],
                status=status,
                user=scope.get("state", {}).get("user", ""),
                client=(scope.get("client") or ("",))[0],
                sent_bytes=sent,
                seconds=round(seconds, 6),
            )


class Checked(Protocol):
    """What an application depends on."""

    def check(self) -> None:
        """Raise an `ODataError` if it does not answer."""
        ...


def watch(behind: Checked, health: Health) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """Return the life span of the application: while it lives, the probes tell whether it can work."""

    def check() -> None:
        try:
            behind.check()
        except ODataError as error:
            health.not_ready(error.message)
        else:
            health.ready()

    return repeating(check)
