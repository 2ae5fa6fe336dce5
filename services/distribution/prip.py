"""The `prip` process: the PRIP and AUXIP service over HTTPS."""

import ssl

import httpx
import uvicorn

from refsys.services.common import process
from refsys.services.common.database import open_database
from refsys.services.common.settings import (
    ApiSettings,
    DatabaseSettings,
    OidcSettings,
    S3Settings,
    load,
)
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.app import create_app
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.repository import Products

PORT = 8443
CONNECTIONS = 10
REQUEST_LINE_BYTES = 128 * 1024
STOP_SECONDS = 25


def main() -> None:
    """Serve until the process is asked to stop."""
    running = process.start("prip")
    api, oidc = load(ApiSettings), load(OidcSettings)
    engine = open_database(load(DatabaseSettings), running.name, pool_size=CONNECTIONS)
    trusted = ssl.create_default_context(cafile=str(oidc.ca_file) if oidc.ca_file else None)
    client = httpx.AsyncClient(verify=trusted, timeout=10, trust_env=False)
    app = create_app(
        Products(engine),
        ObjectStore(load(S3Settings)),
        Authenticator(oidc, client),
        str(api.public_url),
        running.health,
    )
    uvicorn.run(
        app,
        host="0.0.0.0",  # noqa: S104 - the pod's network policies say who reaches it
        port=PORT,
        ssl_certfile=str(api.tls_certificate_file),
        ssl_keyfile=str(api.tls_key_file),
        h11_max_incomplete_event_size=REQUEST_LINE_BYTES,
        timeout_graceful_shutdown=STOP_SECONDS,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    engine.dispose()
