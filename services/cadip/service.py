"""The `cadip` process: sessions and their files over HTTPS."""

import ssl

import httpx

from refsys.services.cadip.app import create_app
from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.settings import ApiSettings, DatabaseSettings, OidcSettings, QuotaSettings, S3Settings, load
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.delivery.entities import Entities
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.prip import CONNECTIONS, serve
from refsys.services.distribution.quotas import Quotas


def main() -> None:
    """Serve until the process is asked to stop."""
    running = process.start("cadip")
    api, oidc = load(ApiSettings), load(OidcSettings)
    engine = open_database(load(DatabaseSettings), running.name, pool_size=CONNECTIONS)
    trusted = ssl.create_default_context(cafile=str(oidc.ca_file) if oidc.ca_file else None)
    client = httpx.AsyncClient(verify=trusted, timeout=10, trust_env=False)
    app = create_app(
        Entities(engine),
        Downloads(ObjectStore(load(S3Settings)), Quotas(engine, load(QuotaSettings))),
        Authenticator(oidc, client),
        str(api.public_url),
        running.health,
    )
    serve(app, api.tls_certificate_file, api.tls_key_file, api.https_port).run()
    engine.dispose()
