"""The real Envoy between a real Keycloak and a page that asks for the role of operators, and who opens it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from tests.means.browser import Browser
from tests.means.certificates import Authority, Certificate
from tests.means.envoy import binary
from tests.services.keycloak import Keycloak
from tests.services.serving import authenticator, serving
from tests.unit.components import gateway

from refsys.platform.components.applications import Hosted
from refsys.platform.components.gateway import COOKIES_FILE, upstreams
from refsys.platform.components.gateway_config import Upstream
from refsys.platform.components.gateway_filters import Realm
from refsys.platform.components.gateway_hosting import ROLES_HEADER, USER_HEADER
from refsys.platform.components.names import KEYCLOAK
from refsys.platform.components.realm import AUDIENCE, PORTAL_CALLBACK, PORTAL_PATH
from refsys.services.distribution.auth import OPERATOR, require
from refsys.services.distribution.responses import handle_errors

HOST = f"operations.{gateway.DOMAIN}"


class Certificates(Authority):
    """Whose certificate is the one that the gateway expects of all services."""

    def __init__(self, tls: gateway.Tls) -> None:
        """It is there already."""
        self._tls = tls

    def issue(self, name: str) -> Certificate:
        """Give it to everybody."""
        return Certificate(self._tls.file, self._tls.file)


@dataclass
class Visitor:
    """A browser in which somebody opens a page, the portal's unless told.

    The gateway is found at its port, Keycloak at its address.
    """

    gateway: gateway.Gateway
    http: httpx.Client
    page: str = f"https://{HOST}{PORTAL_PATH}"
    callback: str = PORTAL_CALLBACK

    @property
    def host(self) -> str:
        """Whose page it is."""
        return httpx.URL(self.page).host

    def open(self, address: str, **headers: str) -> httpx.Response:
        """Open a page of that host."""
        path = httpx.URL(address).raw_path.decode()
        shown = {"Host": self.host, "Accept": "text/html", **headers}
        return self.http.get(path, headers=shown, extensions={"sni_hostname": self.host})

    def log_in(self, user: str, password: str) -> httpx.Response:
        """Walk from the page to Keycloak's form and back to the page."""
        asked = self.open(self.page)
        assert asked.status_code == 302, asked.text
        browser = Browser()
        browser.open(asked.headers["location"])
        with pytest.raises(httpx.ConnectError) as left:  # nobody but a browser of the environment finds its hosts
            browser.send(username=user, password=password)
        address = str(left.value.request.url)
        assert address.startswith(f"https://{self.host}{self.callback}?")
        back = self.open(address)
        assert (back.status_code, back.headers["location"]) == (302, self.page), back.text
        return self.open(back.headers["location"])


@contextmanager
def portal_behind_gateway(keycloak: Keycloak, folder: Path) -> Iterator[gateway.Gateway]:
    """Run the gateway before a page that only operators may read."""
    app = FastAPI()
    app.state.authenticator = authenticator(keycloak)
    handle_errors(app)

    @app.get(PORTAL_PATH, dependencies=[Depends(require(OPERATOR))])
    def page(request: Request) -> str:
        return f"read by {request.state.user}"

    with _behind_gateway(app, upstreams(gateway.DOMAIN), keycloak, folder) as found:
        yield found


@contextmanager
def application_behind_gateway(keycloak: Keycloak, hosted: Hosted, folder: Path) -> Iterator[gateway.Gateway]:
    """Run the gateway before an application that tells who asks."""
    app = FastAPI()

    @app.get("/")
    def page(request: Request) -> str:
        return f"read by {request.headers[USER_HEADER]}, who is {request.headers[ROLES_HEADER]}"

    @app.post("/note")
    def note(request: Request) -> str:
        return f"written by {request.headers[USER_HEADER]}"

    served = (*upstreams(gateway.DOMAIN), hosted.upstream(gateway.DOMAIN, COOKIES_FILE))
    with _behind_gateway(app, served, keycloak, folder) as found:
        yield found


@contextmanager
def _behind_gateway(
    app: FastAPI, served: Sequence[Upstream], keycloak: Keycloak, folder: Path
) -> Iterator[gateway.Gateway]:
    tls = gateway.Tls.make(folder)
    realm = Realm(keycloak.issuer, keycloak.keys_url, AUDIENCE, KEYCLOAK.name)
    with serving(app, "operations", Certificates(tls)) as url:
        ports = [port for each in (url, keycloak.url) if (port := httpx.URL(each).port)]
        config = gateway.on_loopback(gateway.configuration(tls, served, folder, realm), *ports)
        with gateway.started(binary(), tls, folder, config) as found:
            yield found
