"""A real browser without a window (Debian: chromium), driven by its debugging protocol."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx
import websocket

from tests.means.processes import running

PROGRAM = Path("/usr/bin/chromium")
PORT = re.compile(r"DevTools listening on ws://127\.0\.0\.1:(\d+)/")
SECONDS = 30

Scheme = Literal["light", "dark"]


class Page:
    """A tab of its own size; `requests` and `complaints` are what it asked for, and what its console told."""

    def __init__(self, url: str, width: int, scheme: Scheme, headers: Mapping[str, str]) -> None:
        """Connect to the tab."""
        self._socket = websocket.create_connection(url, timeout=SECONDS, suppress_origin=True)
        self._number = 0
        self._events: list[dict[str, Any]] = []
        self.width = width
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.call("Network.setExtraHTTPHeaders", headers=dict(headers))
        self.call("Security.setIgnoreCertificateErrors", ignore=True)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self._size(900)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the tab."""
        self.call("Page.close")
        self._socket.close()

    @property
    def requests(self) -> list[str]:
        """Addresses that were asked for."""
        return [event["params"]["request"]["url"] for event in self._of("Network.requestWillBeSent")]

    @property
    def complaints(self) -> list[str]:
        """Errors and refusals that the browser told of."""
        return [event["params"]["entry"]["text"] for event in self._of("Log.entryAdded")]

    def open(self, address: str) -> None:
        """Go there, and wait until all of it is there."""
        self.call("Page.navigate", url=address)
        while not self._of("Page.loadEventFired"):
            self._read()

    def value(self, script: str) -> Any:
        """What an expression gives in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """Write the whole page as PNG."""
        self._size(int(self.value("document.documentElement.scrollHeight")))
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Ask the browser for something, and return its answer."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := self._read()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        found: dict[str, Any] = answer["result"]
        return found

    def _read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._socket.recv())
        if "method" in message:
            self._events.append(message)
        return message

    def _of(self, method: str) -> list[dict[str, Any]]:
        return [event for event in self._events if event["method"] == method]

    def _size(self, height: int) -> None:
        mobile = self.width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=self.width, height=height, deviceScaleFactor=2 if mobile else 1, mobile=mobile,
        )  # fmt: skip


class Browser:
    """A running browser."""

    def __init__(self, port: int) -> None:
        """`port` is that of its debugging protocol."""
        self._url = f"http://127.0.0.1:{port}"

    def page(self, width: int, scheme: Scheme = "light", headers: Mapping[str, str] | None = None) -> Page:
        """Open an empty tab."""
        tab = httpx.put(f"{self._url}/json/new", trust_env=False, timeout=SECONDS).raise_for_status().json()
        return Page(tab["webSocketDebuggerUrl"], width, scheme, headers or {})


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Run a browser until the context ends; all that it keeps is in the folder."""
    if not PROGRAM.exists():
        raise RuntimeError("Chromium is missing: apt-get install chromium")
    log = folder / "log"
    command: list[str | Path] = [
        PROGRAM,
        "--headless",
        "--no-sandbox",  # root has none
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder / 'profile'}",
        "about:blank",
    ]
    with running(command, log, ready=lambda: bool(PORT.search(log.read_text())), seconds=60):
        found = PORT.search(log.read_text())
        assert found
        yield Browser(int(found[1]))
