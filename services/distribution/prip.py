"""The `prip` process: the PRIP and AUXIP service over HTTPS."""

import ssl
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from refsys.services.common import process
from refsys.services.common.database import open_database
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
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.delivery import api as delivery
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.quotas import Quotas
from refsys.services.distribution.repository import Products

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
    prip, s3 = load(PripSettings), load(S3Settings)
    public = ObjectStore(s3.model_copy(update={"endpoint": prip.redirect_url})) if prip.redirect_url else None
    app = create_app(
        Products(engine),
        Downloads(ObjectStore(s3), Quotas(engine, load(QuotaSettings)), public),
        Authenticator(oidc, client),
        str(api.public_url),
        running.health,
        roles=read_roles(prip.collections_file),
    )
    delivery.attach(app, engine, load(DeliverySettings))
    serve(app, api.tls_certificate_file, api.tls_key_file, api.https_port).run()
    engine.dispose()


def serve(app: FastAPI, certificate: Path, key: Path, port: int) -> uvicorn.Server:
    """Return the HTTPS server of the application, to be run."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host="0.0.0.0",  # noqa: S104 - the pod's network policies say who reaches it
            port=port,
            ssl_certfile=str(certificate),
            ssl_keyfile=str(key),
            h11_max_incomplete_event_size=REQUEST_LINE_BYTES,
            timeout_graceful_shutdown=STOP_SECONDS,
            log_config=None,
            access_log=False,
            server_header=False,
        )
    )
