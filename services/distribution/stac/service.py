"""The `stac` process: the STAC API over HTTPS."""

from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.https import CONNECTIONS, server
from refsys.services.common.settings import ApiSettings, DatabaseSettings, OidcSettings, StacSettings, load
from refsys.services.distribution.auth import open_authenticator
from refsys.services.distribution.stac.app import create_app
from refsys.services.distribution.stac.items import Addresses
from refsys.services.distribution.stac.repository import Items


def main() -> None:
    """Serve until the process is asked to stop."""
    running = process.start("stac")
    api, oidc, stac = load(ApiSettings), load(OidcSettings), load(StacSettings)
    engine = open_database(load(DatabaseSettings), running.name, pool_size=CONNECTIONS)
    addresses = Addresses(*(str(url).rstrip("/") for url in (api.public_url, stac.prip_url, oidc.issuer)))
    app = create_app(Items(engine), open_authenticator(oidc), addresses, running.health)
    server(app, api.tls_certificate_file, api.tls_key_file, api.https_port).run()
    engine.dispose()
