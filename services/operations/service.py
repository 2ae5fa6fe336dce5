"""The `operations` process: the operators' API over HTTPS."""

import ssl

import httpx

from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.settings import ApiKeySettings, ApiSettings, DatabaseSettings, OidcSettings, load
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.prip import serve
from refsys.services.operations.app import create_app

CONNECTIONS = 5


def main() -> None:
    """Serve until asked to stop."""
    api, oidc, key, database = load(ApiSettings), load(OidcSettings), load(ApiKeySettings), load(DatabaseSettings)
    running = process.start("operations")
    engine = open_database(database, running.name, pool_size=CONNECTIONS)
    trusted = ssl.create_default_context(cafile=str(oidc.ca_file) if oidc.ca_file else None)
    authenticator = Authenticator(oidc, httpx.AsyncClient(verify=trusted, timeout=10, trust_env=False))
    app = create_app(engine, authenticator, key, running.health)
    serve(app, api.tls_certificate_file, api.tls_key_file, api.https_port).run()
    engine.dispose()
