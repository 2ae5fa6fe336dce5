"""What hosted applications get: a schema of their own beside the chain's tables, tokens, the gateway's headers.

`pytest_plugins = ("tests.services.hosting",)`
"""

import gc
import json
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from sqlalchemy import Engine, text
from tests.means import issuer
from tests.means.certificates import Authority
from tests.means.postgresql import PostgreSQL

from refsys.services.common.database import open_database
from refsys.services.common.hosted import ROLES_HEADER, USER_HEADER
from refsys.services.common.settings import DatabaseSettings
from refsys.services.ingestion.sources.odata import ODataClient
from refsys.services.orbits.intake import AuxipSettings, ClientSettings, Intake, station
from refsys.services.orbits.known import Known
from refsys.services.orbits.reading import migrate

CLIENT, SECRET = "app-tests", "a secret of the tests"
_numbers = count(1)

Opened = Callable[[str, Path], Engine]


def gateway(user: str, *roles: str) -> dict[str, str]:
    """The headers that the gateway sets, with roles of other applications among them."""
    return {USER_HEADER: user, ROLES_HEADER: json.dumps(["prip-user", "other-planner", *roles])}


@pytest.fixture
def application(postgresql_server: PostgreSQL, template_database: str) -> Iterator[Opened]:
    """Makes an application's schema, first of the search path, in a database that has the chain's tables too."""
    with ExitStack() as stack:

        def opened(name: str, revisions: Path) -> Engine:
            schema, database = f"app_{name.replace('-', '_')}", f"application_{next(_numbers)}"
            postgresql_server.run(f"CREATE DATABASE {database} TEMPLATE {template_database}")
            postgresql_server.run(f"ALTER DATABASE {database} SET search_path = {schema}, public")
            password = postgresql_server.password_file
            engine = open_database(DatabaseSettings(url=postgresql_server.url(database), password_file=password), name)
            stack.callback(engine.dispose)
            with engine.begin() as connection:
                connection.execute(text(f"CREATE SCHEMA {schema}"))
            migrate(engine, name, revisions, threading.Event())
            return engine

        yield opened


@contextmanager
def tokens(roles: Collection[str], of: str = issuer.ISSUER) -> Iterator[str]:
    """Give tokens with these roles for the client's secret; gives the address."""

    class Tokens(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            known = form == {"grant_type": ["client_credentials"], "client_id": [CLIENT], "client_secret": [SECRET]}
            token = issuer.token(roles, iss=of, sub=CLIENT, preferred_username=CLIENT)
            body = json.dumps({"access_token": token, "expires_in": 600} if known else {"error": "no"}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/token"
    server.shutdown()
    server.server_close()


def client_settings(token_url: str, folder: Path, authority: Authority) -> ClientSettings:
    """Settings of the application's client."""
    secret = folder / "client-secret"
    secret.write_text(SECRET)
    values = {"token_url": token_url, "client_id": CLIENT, "client_secret_file": secret, "ca_file": authority.ca_file}
    return ClientSettings.model_validate(values)


@contextmanager
def intake(known: Known, auxip_url: str, client: ClientSettings) -> Iterator[Intake]:
    """What reads an AUXIP."""
    settings = AuxipSettings.model_validate({"url": auxip_url})
    source = ODataClient(station("AUXIP", settings.url, client))
    yield Intake(known, source, settings)
    source.close()
    gc.collect()  # urllib3 closes the connections of a pool when nobody refers to it
