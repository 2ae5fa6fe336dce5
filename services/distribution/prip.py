"""The `prip` process: the PRIP and AUXIP service over HTTPS."""

from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.https import CONNECTIONS, server
from refsys.services.common.settings import (
    ApiSettings,
    DatabaseSettings,
    DeliverySettings,
    OidcSettings,
    PripSettings,
    QuotaSettings,
    S3Settings,
    load,
)
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.access import read_roles
from refsys.services.distribution.app import create_app
from refsys.services.distribution.auth import open_authenticator
from refsys.services.distribution.delivery import api as delivery
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.quotas import Quotas
from refsys.services.distribution.repository import Products


def main() -> None:
    """Serve until the process is asked to stop."""
    running = process.start("prip")
    api, oidc = load(ApiSettings), load(OidcSettings)
    engine = open_database(load(DatabaseSettings), running.name, pool_size=CONNECTIONS)
    prip, s3 = load(PripSettings), load(S3Settings)
    public = ObjectStore(s3.model_copy(update={"endpoint": prip.redirect_url})) if prip.redirect_url else None
    app = create_app(
        Products(engine),
        Downloads(ObjectStore(s3), Quotas(engine, load(QuotaSettings)), public),
        open_authenticator(oidc),
        str(api.public_url),
        running.health,
        roles=read_roles(prip.collections_file),
    )
    delivery.attach(app, engine, load(DeliverySettings))
    server(app, api.tls_certificate_file, api.tls_key_file, api.https_port).run()
    engine.dispose()
