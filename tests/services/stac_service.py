"""The STAC API for tests: in the process, or over HTTP; callers are known by the words of their tokens."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI, Request
from sqlalchemy import Engine
from tests.means.processes import free_port

from refsys.services.common.operations import Health
from refsys.services.distribution.auth import USER, Authenticator, Identity, unauthorized
from refsys.services.distribution.stac.app import create_app
from refsys.services.distribution.stac.items import Addresses
from refsys.services.distribution.stac.repository import Items

ADDRESSES = Addresses(
    "https://stac.example.test", "https://prip.example.test", "https://auth.example.test/realms/refsys"
)
IDENTITIES = {
    "Bearer valid": Identity("demo", frozenset({USER}), 1e12),
    "Bearer powerless": Identity("nobody", frozenset(), 1e12),
}


class Callers(Authenticator):
    """Knows callers without an identity service; tests/services/test_prip.py tests real tokens."""

    def __init__(self) -> None:
        """Nothing to fetch."""

    async def identify(self, request: Request) -> Identity:
        """Return the caller of the token."""
        found = IDENTITIES.get(request.headers.get("Authorization", ""))
        if found is None:
            raise unauthorized("no access token")
        return found


def application(engine: Engine, addresses: Addresses = ADDRESSES) -> FastAPI:
    """The application over a database."""
    health = Health()
    app = create_app(Items(engine), Callers(), addresses, health)
    app.state.health = health
    return app


@contextmanager
def over_http(engine: Engine) -> Iterator[str]:
    """Serve the application on loopback; yields its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = application(engine, ADDRESSES._replace(stac=url))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.05)
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(30)
