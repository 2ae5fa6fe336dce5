"""What applications behind the gateway have in common (docs/applications.md): who asks, health, metrics, strict pages.

The gateway has checked the caller, and says who it is in two headers that nobody else can send.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Histogram, generate_latest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from starlette.types import ASGIApp, Receive, Scope, Send

from refsys.services.common.process import stop_on_signals
from refsys.services.distribution.app import AccessLog
from refsys.services.distribution.limits import Limits
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.responses import handle_errors

USER_HEADER, ROLES_HEADER = "x-refsys-user", "x-refsys-roles"
PORT = 8080
STOP_SECONDS = 25

REQUESTS = Histogram(
    "refsys_application_request_seconds",
    "Seconds until the answer is sent, by route and status",
    ["route", "method", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class HostedSettings(BaseSettings):
    """The port that the gateway's sidecar asks; 8080 in a pod."""

    model_config = SettingsConfigDict(env_prefix="REFSYS_")

    http_port: int = Field(default=PORT, ge=1, le=65535)


@dataclass(frozen=True)
class Visitor:
    """Who asks, and the roles that it has in this application, without the application's name before them."""

    name: str
    roles: frozenset[str]


def hosted(title: str, application: str) -> FastAPI:
    """Return an application that knows its visitors, and answers `/health` and `/metrics`."""
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.application = application
    handle_errors(app)
    app.add_middleware(Limits)
    app.add_middleware(AccessLog, requests=REQUESTS)
    app.add_middleware(_Probes)
    return app


def visitor(request: Request) -> Visitor:
    """Return who asks; 401 where the gateway did not say it."""
    name, listed = request.headers.get(USER_HEADER, ""), request.headers.get(ROLES_HEADER, "")
    try:
        roles = json.loads(listed)
    except ValueError:
        roles = None
    if not name or not isinstance(roles, list):
        raise ODataError(401, "Unauthorized", "nobody is logged in: come by the gateway")
    request.state.user = name
    prefix = f"{request.app.state.application}-"
    own = frozenset(role.removeprefix(prefix) for role in map(str, roles) if role.startswith(prefix))
    return Visitor(name, own)


Known = Annotated[Visitor, Depends(visitor)]


def having(*roles: str) -> Callable[[Visitor], Visitor]:
    """Return the dependency that asks for one of the roles, and gives who asks."""

    def check(known: Known) -> Visitor:
        if not known.roles & set(roles):
            needed = " or ".join(roles)
            raise ODataError(403, "Forbidden", f"user {known.name} lacks the role {needed}: ask the operator for it")
        return known

    return check


def page_headers(*styles: str) -> dict[str, str]:
    """Return the headers of a page that takes nothing from anywhere; its style elements have these texts."""
    digests = (hashlib.sha256(each.encode()).digest() for each in styles)
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src {hashes}; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def run(app: FastAPI, settings: HostedSettings, *beside: Callable[[threading.Event], None]) -> None:
    """Serve until asked to stop, with `beside` in threads of their own; one that fails ends the process.

    Raises:
        Exception: what the first of them raised.
    """
    stop = stop_on_signals()
    failures: list[Exception] = []
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="0.0.0.0",  # noqa: S104 - the pod's network policies say who reaches it
            port=settings.http_port,
            timeout_graceful_shutdown=STOP_SECONDS,
            log_config=None,
            access_log=False,
            server_header=False,
        )
    )

    def guarded(act: Callable[[threading.Event], None]) -> None:
        try:
            act(stop)
        except Exception as error:
            failures.append(error)
        finally:
            server.should_exit = True

    threads = [threading.Thread(target=guarded, args=(act,)) for act in beside]
    for thread in threads:
        thread.start()
    try:
        server.run()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


class _Probes:
    """Answers `/health` and `/metrics` before anything else, without a line in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if path == "/health":
            await Response("ok\n", media_type="text/plain")(scope, receive, send)
        elif path == "/metrics":
            found = Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
            await found(scope, receive, send)
        else:
            await self._app(scope, receive, send)
