"""The `cadip` process: sessions and their files over HTTPS."""

from refsys.services.cadip.app import create_app
from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.https import CONNECTIONS, server
from refsys.services.common.settings import ApiSettings, DatabaseSettings, OidcSettings, QuotaSettings, S3Settings, load
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.auth import open_authenticator
from refsys.services.distribution.delivery.entities import Entities
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.quotas import Quotas


def main() -> None:
    """Serve until the process is asked to stop."""
    running = process.start("cadip")
    api, oidc = load(ApiSettings), load(OidcSettings)
    engine = open_database(load(DatabaseSettings), running.name, pool_size=CONNECTIONS)
    app = create_app(
        Entities(engine),
        Downloads(ObjectStore(load(S3Settings)), Quotas(engine, load(QuotaSettings))),
        open_authenticator(oidc),
        str(api.public_url),
        running.health,
    )
    server(app, api.tls_certificate_file, api.tls_key_file, api.https_port).run()
    engine.dispose()
