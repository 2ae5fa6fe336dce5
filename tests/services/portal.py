"""The real Envoy between a real Keycloak and a page that asks for the role of operators, and who opens it."""

from collections.abc import Iterator
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

from refsys.platform.components.gateway import upstreams
from refsys.platform.components.gateway_filters import Realm
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
    """A browser in which somebody opens the portal; the gateway is found at its port, Keycloak at its address."""

    gateway: gateway.Gateway
    http: httpx.Client

    def open(self, address: str, **headers: str) -> httpx.Response:
        """Open a page of the operators' host."""
        path = httpx.URL(address).raw_path.decode()
        shown = {"Host": HOST, "Accept": "text/html", **headers}
        return self.http.get(path, headers=shown, extensions={"sni_hostname": HOST})

    def log_in(self, user: str, password: str) -> httpx.Response:
        """Walk from the page to Keycloak's form and back to the page."""
        asked = self.open(PORTAL_PATH)
        assert asked.status_code == 302, asked.text
        browser = Browser()
        browser.open(asked.headers["location"])
        with pytest.raises(httpx.ConnectError) as left:  # nobody but a browser of the environment finds its hosts
            browser.send(username=user, password=password)
        address = str(left.value.request.url)
        assert address.startswith(f"https://{HOST}{PORTAL_CALLBACK}?")
        back = self.open(address)
        assert (back.status_code, back.headers["location"]) == (302, f"https://{HOST}{PORTAL_PATH}"), back.text
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

    tls = gateway.Tls.make(folder)
    realm = Realm(keycloak.issuer, keycloak.keys_url, AUDIENCE, KEYCLOAK.name)
    with serving(app, "operations", Certificates(tls)) as url:
        ports = [port for each in (url, keycloak.url) if (port := httpx.URL(each).port)]
        config = gateway.on_loopback(gateway.configuration(tls, upstreams(gateway.DOMAIN), folder, realm), *ports)
        with gateway.started(binary(), tls, folder, config) as found:
            yield found
