"""A graphical application's image in a real browser: through the gateway's login, its pod's Envoy, and the bridge."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import yaml

from refsys.platform.components.application_front import LOOPBACK, front_config
from refsys.platform.components.applications import CALLBACK
from refsys.platform.components.gateway import COOKIES_FILE, realm_of, upstreams
from refsys.platform.components.gateway_config import envoy_secret
from refsys.platform.images.isolation import SCRIPT
from refsys.platform.images.recipe import load
from tests.images.conftest import Unpack
from tests.means import chromium
from tests.means.envoy import binary
from tests.means.processes import free_port, listens, running
from tests.unit.components import gateway
from tests.unit.components.gateway import NOTES

pytestmark = pytest.mark.long

EYES = replace(NOTES, content_policy="default-src 'none'")  # its pages bring their own
HOST = f"notes.{gateway.DOMAIN}"
SERVE = """
import sys
from aiohttp import web
from refsys.services.desktop.server import application
from refsys.services.desktop.settings import read_settings
web.run_app(application(read_settings()), host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""
# As many colours as are seen of the display.
COLOURS = """(() => {
  const canvas = document.querySelector('#display canvas');
  if (!canvas) return 0;
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Set();
  for (let i = 0; i < data.length; i += 4) seen.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return seen.size;
})()"""


@contextmanager
def desktop(root: Path, folder: Path) -> Iterator[int]:
    """The image's program as its user on its tree; gives its port."""
    recipe, port = load("xeyes"), free_port()
    env = [f"{key}={value}" for key, value in recipe.env.items()]
    isolated = [
        "unshare",
        "--mount",
        "--propagation=private",
        "--pid",
        "--fork",
        "--kill-child",
        str(SCRIPT),
        str(root),
    ]
    command = [*isolated, "env", "-i", "PATH=/usr/sbin:/usr/bin:/bin", *env]
    command += ["chroot", f"--userspec={recipe.user}:{recipe.user}", str(root), "python3", "-c", SERVE, str(port)]
    with running(command, folder / "desktop.log", ready=lambda: listens(port), seconds=60):
        yield port


@contextmanager
def front(tls: gateway.Tls, server: int, folder: Path) -> Iterator[int]:
    """The pod's Envoy before it; gives its port."""
    port, secret = free_port(), folder / "front-certificate.yaml"
    secret.write_text(yaml.safe_dump(envoy_secret(str(tls.file))))
    config = front_config("app-notes", LOOPBACK, server, str(secret))
    listener, metrics = config["static_resources"]["listeners"]
    listener["address"]["socket_address"] = {"address": LOOPBACK, "port_value": port}
    metrics["address"]["socket_address"] = {"address": LOOPBACK, "port_value": 0}
    config["admin"]["address"]["socket_address"]["port_value"] = 0
    (folder / "front.yaml").write_text(yaml.safe_dump(config))
    command = [binary(), "--config-path", folder / "front.yaml", "--disable-hot-restart", "--concurrency", "1"]
    with running(command, folder / "front.log", ready=lambda: listens(port), seconds=30):
        yield port


def until(page: chromium.Page, expression: str) -> None:
    end = time.monotonic() + 60
    while not page.value(expression):
        assert time.monotonic() < end, (expression, page.value("document.body.innerText"), page.complaints)
        time.sleep(0.3)


def test_who_is_logged_in_sees_the_program_and_moves_it(tree: Unpack, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, root = tmp_path_factory.mktemp("desktop"), tree("xeyes")
    tls = gateway.Tls.make(folder)
    with desktop(root, folder) as server, front(tls, server, folder) as port, gateway.service(None) as keycloak:
        served = (*upstreams(gateway.DOMAIN), EYES.upstream(gateway.DOMAIN, COOKIES_FILE))
        config = gateway.configuration(tls, served, folder, realm_of(gateway.DOMAIN, passwords=False))
        config = gateway.on_loopback(config, port, keycloak)
        with gateway.started(binary(), tls, folder, config) as before:
            found = f"--host-resolver-rules=MAP {HOST} {gateway.HOST}:{before.port}, MAP auth.* {gateway.HOST}:1"
            with chromium.browser(folder, found) as browser, browser.page(1000) as page:
                page.open(f"https://{HOST}/")
                asked = next(url for url in page.requests if "response_type=code" in url)
                state = parse_qs(urlsplit(asked).query)["state"][0]
                page.call(
                    "Page.navigate", url=f"https://{HOST}{CALLBACK}?{urlencode({'code': 'right', 'state': state})}"
                )
                until(page, "document.querySelector('#state')?.textContent === 'connected'")
                until(page, f"{COLOURS} > 2")
                page.screenshot(folder / "desktop.png")
                assert "anna" in page.value("document.querySelector('.user').innerText")
                looked = "document.querySelector('#display canvas').toDataURL()"
                at_first = page.value(looked)
                page.call("Input.dispatchMouseEvent", type="mouseMoved", x=150, y=700)
                time.sleep(2)
                assert page.value(looked) != at_first, "the eyes did not follow the mouse"
                assert not [text for text in page.complaints if "Content" in text], page.complaints
    left = subprocess.run(["pgrep", "-f", f"Xtigervnc.*{root}"], check=False, capture_output=True, text=True)
    assert left.stdout == ""
    print(folder / "desktop.png")  # noqa: T201 - pytest -s shows it
