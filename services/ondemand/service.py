"""The `ondemand` process: on-demand production over HTTPS."""

from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.https import CONNECTIONS, server
from refsys.services.common.settings import (
    ApiSettings,
    DatabaseSettings,
    DeliverySettings,
    OidcSettings,
    OnDemandSettings,
    StacSettings,
    load,
)
from refsys.services.distribution.auth import open_authenticator
from refsys.services.distribution.delivery.endpoints import Endpoints
from refsys.services.distribution.delivery.guard import Guard
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.ondemand.api import ROOT
from refsys.services.ondemand.app import create_app
from refsys.services.ondemand.documents import Addresses
from refsys.services.ondemand.orders import Orders
from refsys.services.ondemand.processes import Processes


def main() -> None:
    """Serve until the process is asked to stop."""
    running = process.start("ondemand")
    api, oidc, prip, delivery = load(ApiSettings), load(OidcSettings), load(StacSettings), load(DeliverySettings)
    engine = open_database(load(DatabaseSettings), running.name, pool_size=CONNECTIONS)
    endpoints = Endpoints(Cipher(delivery.key_file), Guard(delivery.allowed_networks))
    orders = Orders(engine, endpoints, load(OnDemandSettings))
    addresses = Addresses(f"{str(api.public_url).rstrip('/')}{ROOT}", str(prip.prip_url).rstrip("/"))
    app = create_app(orders, Processes(engine), open_authenticator(oidc), addresses, running.health)
    server(app, api.tls_certificate_file, api.tls_key_file, api.https_port).run()
    engine.dispose()
