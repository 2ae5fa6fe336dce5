"""All endpoints of all services, who may use them, and their page: `python -m tests.unit.services.apis.endpoints`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import MagicMock

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import create_engine
from structlog.testing import capture_logs
from tests.means.issuer import authenticator as realm_authenticator
from tests.means.issuer import token

from refsys.infra import paths
from refsys.services.cadip.api import USER as SESSIONS_USER
from refsys.services.cadip.app import create_app as cadip
from refsys.services.common.operations import Health
from refsys.services.common.settings import ApiKeySettings, DeliverySettings, IngestorSettings, OnDemandSettings
from refsys.services.distribution.access import DEFAULT
from refsys.services.distribution.app import create_app as prip
from refsys.services.distribution.auth import OPERATOR, USER
from refsys.services.distribution.delivery import api as delivery
from refsys.services.distribution.stac.app import create_app as stac
from refsys.services.distribution.stac.items import Addresses
from refsys.services.ingestor.api import USER as UPLOADER
from refsys.services.ingestor.app import create_app as ingestor
from refsys.services.ingestor.storage import Volume
from refsys.services.ingestor.uploads import Uploads
from refsys.services.ondemand.api import USER as ORDERS_USER
from refsys.services.ondemand.app import create_app as ondemand
from refsys.services.ondemand.documents import Addresses as OrderAddresses
from refsys.services.ondemand.orders import Orders
from refsys.services.ondemand.processes import Processes
from refsys.services.operations.app import create_app as operations
from refsys.services.search.app import create_app as search

PAGE = paths.CHECKOUT / "docs" / "reference" / "api.md"
ROLES = (USER, *DEFAULT, SESSIONS_USER, UPLOADER, ORDERS_USER, OPERATOR)
API_KEY = "the-api-key-of-these-tests"
_FOLDER = TemporaryDirectory(prefix="refsys-apis-")
IDENTIFIER = "00000000-0000-4000-8000-000000000000"

HEAD = """\
# HTTP interfaces

Every endpoint of every service, with the realm roles that open it. All ask for an access token of the realm
(`Authorization: Bearer`), but those that everybody may read; the dead letters (`failedProcessings`) ask for the header
`ApiKey` as well. Made by `python -m tests.unit.services.apis.endpoints` from the routes and from what callers with
each role are answered; a test keeps it in step.
"""


@dataclass(frozen=True)
class Endpoint:
    """One method of one path of a service."""

    service: str
    method: str
    path: str
    summary: str

    def call(self, client: TestClient, bearer: str | None) -> int:
        """Return the status that a caller with this token, or without one, gets."""
        headers = {"ApiKey": API_KEY, "Tus-Resumable": "1.0.0"}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        path = re.sub(r"\{[^}]+\}", IDENTIFIER, self.path)
        status: int = client.request(self.method, path, headers=headers, follow_redirects=False).status_code
        return status


def applications() -> dict[str, FastAPI]:
    """Return every service's application, with nothing real behind its endpoints."""
    folder = Path(_FOLDER.name)
    key_file = folder / "api-key"
    key_file.write_text(API_KEY)
    authenticator, health, url = realm_authenticator(), Health(), "https://api.example.test"
    nowhere = create_engine("postgresql+psycopg://127.0.0.1:1/none")
    uploads = Uploads(nowhere, IngestorSettings(folder=folder))
    made = {
        "prip": prip(MagicMock(), MagicMock(), authenticator, url, health),
        "cadip": cadip(MagicMock(), MagicMock(), authenticator, url, health),
        "stac": stac(MagicMock(), authenticator, Addresses(url, url, url), health),
        "ondemand": ondemand(
            Orders(nowhere, MagicMock(), OnDemandSettings()),
            Processes(nowhere),
            authenticator,
            OrderAddresses(url, url),
            health,
        ),
        "metadata": search(MagicMock(), MagicMock(), MagicMock(), authenticator, health),
        "ingestor": ingestor(uploads, Volume(uploads, MagicMock()), authenticator, health),
        "operations": operations(
            *(MagicMock(), MagicMock(), MagicMock(), MagicMock()),
            authenticator,
            ApiKeySettings(api_key_file=key_file),
            health,
        ),
    }
    delivery.attach(made["prip"], nowhere, DeliverySettings(key_file=key_file))
    made["prip"].dependency_overrides[delivery._refresh] = lambda: None  # it asks the database before the role
    return made


def client_of(application: FastAPI) -> TestClient:
    """Return a client that sees errors as answers."""
    return TestClient(application, raise_server_exceptions=False, base_url="https://api.example.test")


def endpoints(service: str, application: FastAPI) -> Iterator[Endpoint]:
    """Yield all endpoints of a service but the answers to HEAD and OPTIONS."""
    for route in iter_route_contexts(application.routes):
        assert route.path and route.methods and route.endpoint, f"{service}: {route} is not an endpoint"
        for method in sorted(route.methods - {"HEAD", "OPTIONS"}):
            text = (route.endpoint.__doc__ or "").strip().partition("\n")[0]
            yield Endpoint(service, method, route.path, text if " " in text else f"{route.name}.")


def opened_by(endpoint: Endpoint, client: TestClient) -> str:
    """Return the roles each of which opens the endpoint."""
    if endpoint.call(client, None) != 401:
        return "everybody"
    return ", ".join(f"`{role}`" for role in ROLES if endpoint.call(client, token([role])) != 403)


def page() -> str:
    """Return the whole page."""
    with capture_logs():
        return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield HEAD
    for service, application in applications().items():
        client = client_of(application)
        yield from (f"## {service}", "", "| method | path | open to | what it does |", "|---|---|---|---|")
        for each in sorted(endpoints(service, application), key=lambda each: (each.path, each.method)):
            yield f"| {each.method} | `{each.path}` | {opened_by(each, client)} | {each.summary} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
