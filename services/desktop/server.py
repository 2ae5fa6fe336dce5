"""The page with the display, and the WebSocket that it is seen through; who looks is told by the gateway."""

import asyncio
import contextlib
import html
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import WSMsgType, web
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from refsys.services.desktop.sessions import Session, SessionError, Sessions
from refsys.services.desktop.settings import DesktopSettings

USER_HEADER = "x-refsys-user"
PAGE = Path(__file__).with_name("page")
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
CHUNK_BYTES = 64 * 1024
MESSAGE_BYTES = 2**20
HEARTBEAT_SECONDS = 30.0
SETTINGS = web.AppKey("settings", DesktopSettings)
SESSIONS = web.AppKey("sessions", Sessions)


def application(settings: DesktopSettings) -> web.Application:
    """Return the server's application."""
    made = web.Application()
    made[SETTINGS], made[SESSIONS] = settings, Sessions(settings)
    made.add_routes(
        [
            web.get("/", _page),
            web.get("/session", _session),
            web.get("/health", _health),
            web.get("/metrics", _metrics),
            web.static("/page", PAGE),
            web.static("/novnc/core", settings.novnc / "core"),
            web.static("/novnc/vendor", settings.novnc / "vendor"),
        ]
    )
    made.cleanup_ctx.append(_looked_after)
    return made


async def _looked_after(made: web.Application) -> AsyncIterator[None]:
    task = asyncio.create_task(made[SESSIONS].look_after())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await made[SESSIONS].close()


async def _page(request: web.Request) -> web.Response:
    user = _user(request)
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    for name, value in {"title": request.app[SETTINGS].title, "user": user}.items():
        text = text.replace(f"{{{name}}}", html.escape(value))
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
    return web.Response(text=text, content_type="text/html", headers=headers)


async def _session(request: web.Request) -> web.StreamResponse:
    """Join the browser with its display."""
    user = _user(request)
    try:
        session = await request.app[SESSIONS].of(user)
        reader, writer = await asyncio.open_unix_connection(session.socket)
    except (SessionError, OSError) as error:
        raise web.HTTPServiceUnavailable(text=str(error)) from None
    browser = web.WebSocketResponse(protocols=("binary",), max_msg_size=MESSAGE_BYTES, heartbeat=HEARTBEAT_SECONDS)
    await browser.prepare(request)
    session.viewers += 1
    ways = [asyncio.create_task(way) for way in (_seen(reader, browser), _done(browser, writer))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        _left(session)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.close()
        await browser.close()
    return browser


def _left(session: Session) -> None:
    session.viewers -= 1
    session.seen = time.monotonic()


async def _seen(reader: asyncio.StreamReader, browser: web.WebSocketResponse) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        await browser.send_bytes(chunk)


async def _done(browser: web.WebSocketResponse, writer: asyncio.StreamWriter) -> None:
    async for message in browser:
        if message.type is not WSMsgType.BINARY:
            return
        writer.write(message.data)
        await writer.drain()


async def _health(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _metrics(request: web.Request) -> web.Response:
    registry = CollectorRegistry()
    sessions = request.app[SESSIONS].all
    Gauge("refsys_desktop_sessions", "Displays that run", registry=registry).set(len(sessions))
    viewers = sum(session.viewers for session in sessions)
    Gauge("refsys_desktop_viewers", "Browsers that look at one", registry=registry).set(viewers)
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _user(request: web.Request) -> str:
    user = request.headers.get(USER_HEADER, "")
    if not user:
        raise web.HTTPForbidden(text="nobody is logged in: this is reached through the gateway")
    return user
